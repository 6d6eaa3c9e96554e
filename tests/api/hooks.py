"""Hooks of `./verify contract`: what OpenAPI has no words for.

A key names one write: schemathesis sends the same one with many bodies, which a node rightly refuses (422). Each case gets a
fresh key instead, where it has a good one. A long poll waits for as long as it was asked to, so a good wait is cut to one
second. If-Match and If-None-Match exclude each other; where a good case has both, one goes.
"""

import re
import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    wait = str((case.query or {}).get("wait_s", ""))
    if wait.isdigit() and 1 < int(wait) <= 25:
        case.query["wait_s"] = 1
    headers = case.headers
    if not headers:
        return
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[!-~]{1,128}", key):
        headers["Idempotency-Key"] = uuid.uuid4().hex
    if "If-Match" in headers and headers.get("If-None-Match") == "*":
        del headers["If-None-Match"]
