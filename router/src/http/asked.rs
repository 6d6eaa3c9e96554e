//! A request as a handler gets it, and the one road that every read and every write takes: token, reach, query, type and size
//! of the body, then, for a write, its key and the answer that is kept for it.
//!
//! A handler names what is particular to it (permission, parameters, limit, path of the key) and does its act; the order of
//! the checks is the same everywhere and stands here. It refuses to know what is read or written.
//!
//! Drive it: take [`Asked`] as the last argument of a read, and [`Asked::read_at`]; take [`Sent`] as the last argument of a write,
//! [`Sent::json_at`] or [`Sent::keyed_at`], then [`Ready::once`] or [`Ready::once_by`].

use super::gate::{self, Query};
use super::idempotency::{self, Answer, Claim, Key};
use super::problem::Problem;
use super::{Api, shown};
use crate::auth::{AdminGrant, Permission};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use std::convert::Infallible;
use tidegate_model::ids::TenantId;

/// A read, whose path is known.
pub(super) struct Asked {
    pub(super) api: Api,
    headers: HeaderMap,
    query: Option<String>,
}

impl FromRequestParts<Api> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        Ok(Self { api: api.clone(), headers: parts.headers.clone(), query: parts.uri.query().map(str::to_owned) })
    }
}

impl Asked {
    /// Lets a read at a tenant in; its parameters, which are among `known`.
    pub(super) fn read_at(&self, need: Permission, tenant: &str, known: &[&str]) -> Result<(TenantId, Query<'_>), Problem> {
        let (_, tenant) = self.api.allow_at(&self.headers, need, tenant)?;
        Ok((tenant, Query::read(self.query.as_deref(), known)?))
    }
}

/// A write, whose path is known.
pub(super) struct Sent {
    pub(super) api: Api,
    pub(super) headers: HeaderMap,
    query: Option<String>,
    body: Body,
}

impl FromRequest<Api> for Sent {
    type Rejection = Infallible;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        Ok(Self { api: api.clone(), headers: parts.headers, query: parts.uri.query().map(str::to_owned), body })
    }
}

impl Sent {
    /// The body of a write that was let in: JSON of at most `limit` bytes, and no parameters.
    pub(super) async fn json(self, grant: AdminGrant, limit: usize) -> Result<Ready, Problem> {
        Query::read(self.query.as_deref(), &[])?;
        gate::content_type(&self.headers, &["application/json"])?;
        let body = gate::body(&self.headers, self.body, limit).await?;
        Ok(Ready { api: self.api, grant, headers: self.headers, body })
    }

    /// Lets a write at a tenant in.
    pub(super) async fn json_at(self, need: Permission, tenant: &str, limit: usize) -> Result<(TenantId, Ready), Problem> {
        let (grant, tenant) = self.api.allow_at(&self.headers, need, tenant)?;
        Ok((tenant, self.json(grant, limit).await?))
    }

    /// As [`Self::json_at`], for writes that insist on a key; `path` is what the key belongs to, below its tenant.
    pub(super) async fn keyed_at(
        self,
        need: Permission,
        tenant: &str,
        path: &str,
        limit: usize,
    ) -> Result<(TenantId, Key, Ready), Problem> {
        let (grant, tenant) = self.api.allow_at(&self.headers, need, tenant)?;
        Query::read(self.query.as_deref(), &[])?;
        let key = idempotency::required(&self.headers, &grant.name, &format!("{}/{path}", tenant.0))?;
        Ok((tenant, key, self.json(grant, limit).await?))
    }
}

/// A write that was let in.
pub(super) struct Ready {
    pub(super) api: Api,
    pub(super) grant: AdminGrant,
    pub(super) headers: HeaderMap,
    /// The body as it came.
    pub(super) body: Bytes,
}

impl Ready {
    /// Does the act, or answers as the first time: by the key that the request may name for `path`.
    pub(super) async fn once<F>(&self, path: &str, act: F) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Answer, Problem>>,
    {
        once(self.api.answers().claim(&self.headers, &self.grant.name, path, &self.body)?, act).await
    }

    /// As [`Self::once`], by a key that was read.
    pub(super) async fn once_by<F>(&self, key: Key, act: F) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Answer, Problem>>,
    {
        once(self.api.answers().claim_key(key, &self.headers, &self.body)?, act).await
    }
}

/// Answers a write with what was kept for its key, or does it and keeps the answer.
pub(super) async fn once<F>(claim: Claim, act: F) -> Result<Response, Problem>
where
    F: Future<Output = Result<Answer, Problem>>,
{
    let held = match claim {
        Claim::Done(answer) => return Ok(shown(answer, true)),
        Claim::Free => None,
        Claim::First(held) => Some(held),
    };
    // What was refused is not kept: nothing was done, and it may be taken later. Dropped, the key is free again.
    let answer = act.await?;
    if let Some(held) = held {
        held.finish(&answer);
    }
    Ok(shown(answer, false))
}
