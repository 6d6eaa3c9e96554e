//! The problem types of every HTTP face: one table of slug, status, title, meaning and remedy, English and Chinese.
//!
//! Channels and router build their RFC 9457 answers from it, so that one thing has one spelling and one status wherever it is
//! said. A slug never changes its meaning; `type` is the URI reference [`URI`] + slug, and a node serves a page at it. It
//! refuses to know how an answer is written. `docs/problems/` holds a page for each row; a test compares them.
//!
//! Drive it: [`find`] by slug; add a row here before a new slug is used (a test reads the sources for slugs).

use crate::output::Refusal;

/// What stands before the slug in `type`: resolves to a page on the node that answered.
pub const URI: &str = "/problems/";

/// A text in both languages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// English.
    pub en: &'static str,
    /// 简体中文.
    pub zh: &'static str,
}

/// A type of problem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProblemType {
    /// Last part of the type's URI.
    pub slug: &'static str,
    /// HTTP status, always the same for a slug.
    pub status: u16,
    /// Short text, the same for every occurrence.
    pub title: Said,
    /// What it means.
    pub means: Said,
    /// What to do.
    pub remedy: Said,
}

/// The row of a slug; `None` when there is none. O(rows).
pub fn find(slug: &str) -> Option<&'static ProblemType> {
    PROBLEMS.iter().find(|row| row.slug == slug)
}

/// The slug of a refusal by the tenant machine, for an HTTP answer.
pub const fn of_refusal(refusal: Refusal) -> &'static str {
    match refusal {
        // The bytes were read; it is their sense that the machine cannot use.
        Refusal::Malformed => "contradictory",
        other => other.slug(),
    }
}

const fn row(
    slug: &'static str,
    status: u16,
    title: [&'static str; 2],
    means: [&'static str; 2],
    remedy: [&'static str; 2],
) -> ProblemType {
    const fn said(of: [&'static str; 2]) -> Said {
        Said { en: of[0], zh: of[1] }
    }
    ProblemType { slug, status, title: said(title), means: said(means), remedy: said(remedy) }
}

/// Every type, by slug in alphabetical order.
pub const PROBLEMS: &[ProblemType] = &[
    row(
        "already-open",
        409,
        ["A contact is open already", "已有进行中的联络"],
        [
            "The conversation has an open contact; a conversation has one at a time.",
            "该会话已有进行中的联络；一个会话同时只有一个。",
        ],
        ["Write into the open contact, or let it leave first.", "在当前联络中继续，或先让其结束。"],
    ),
    row(
        "audit-failed",
        503,
        ["The act cannot be recorded", "操作无法记录"],
        [
            "An administrative act is recorded before it is done; the audit cannot be written, so nothing was done.",
            "管理操作须先写入审计；审计无法写入，因此未执行。",
        ],
        [
            "Customers and agents are served on. Free the disk, then restart the node.",
            "客户与坐席不受影响。释放磁盘空间后重启节点。",
        ],
    ),
    row(
        "bad-field",
        422,
        ["A field is not what it must be", "字段不符合要求"],
        [
            "A field is missing, of another type, or out of its range; `field` names it.",
            "字段缺失、类型不对或超出范围；`field` 指明是哪一个。",
        ],
        ["Correct the field as `detail` says.", "按 `detail` 的说明修改该字段。"],
    ),
    row(
        "bad-file",
        400,
        ["The file is not what was announced", "文件与声明不符"],
        ["Fewer or other bytes came than were announced, or none.", "收到的字节与声明不符，或为空。"],
        ["Send the whole file again.", "请重新发送完整文件。"],
    ),
    row(
        "bad-parameter",
        400,
        ["A parameter is not what it must be", "参数不符合要求"],
        [
            "A part of the path, the query or a header is out of its form; `field` names it.",
            "路径、查询或请求头中的某项格式不对；`field` 指明是哪一个。",
        ],
        [
            "Correct it as `detail` says; take ids and cursors exactly as they were given.",
            "按 `detail` 的说明修改；编号与游标须原样传回。",
        ],
    ),
    row(
        "broken",
        500,
        ["A thread of the cell has ended", "节点内部线程已终止"],
        [
            "A fault of ours closed the node's deciding thread; nothing more is acknowledged.",
            "内部故障使决策线程终止；不再确认任何内容。",
        ],
        ["Restart the node; what was acknowledged is in the log.", "重启节点；已确认的内容都在日志中。"],
    ),
    row(
        "busy",
        503,
        ["The queues are full", "队列已满"],
        ["Nothing was taken: a bounded queue inside the node is full.", "未接收任何内容：节点内部的有界队列已满。"],
        ["Repeat after Retry-After, with the same key.", "按 Retry-After 等待后以相同的键重试。"],
    ),
    row(
        "claim-gone",
        409,
        ["The claim is gone", "该占用已失效"],
        ["The claim is not this seat's, or has ended.", "该占用不属于此坐席，或已结束。"],
        ["Read the seat again and act on what it holds now.", "重新读取坐席状态后再操作。"],
    ),
    row(
        "closed",
        503,
        ["The node is going down", "节点正在下线"],
        ["The node drains: it takes nothing new.", "节点正在排空，不再接收新内容。"],
        ["Use another node, or wait for the restart; repeat with the same key.", "改用其他节点或等待重启；以相同的键重试。"],
    ),
    row(
        "conflict",
        409,
        ["The id was used before with another content", "该编号已用于其他内容"],
        ["An id that the client chose names another content that was taken earlier.", "客户端自选的编号此前已对应另一内容。"],
        ["Repeat the first content, or use a new id.", "重发原内容，或使用新编号。"],
    ),
    row(
        "contradictory",
        422,
        ["The request contradicts itself", "请求自相矛盾"],
        [
            "Every field can be read, but together they make no act that the tenant machine knows.",
            "各字段均可读取，但合在一起不是可执行的操作。",
        ],
        ["Check the combination of fields.", "检查各字段的组合。"],
    ),
    row(
        "damaged-file",
        500,
        ["The file is damaged", "文件已损坏"],
        ["Its bytes are not those that were stored; it is not given out.", "其字节与存储时不同；不予提供。"],
        ["Ask for it to be sent again; see the node's log.", "请对方重新发送；并查看节点日志。"],
    ),
    row(
        "events-gone",
        410,
        ["Events behind that one are no longer kept", "该位置之后的事件已不再保留"],
        ["Retention took what the reader asks for.", "所请求的事件已超出保留期。"],
        ["Read the state again, then go on from `oldest`.", "重新读取状态，再从 `oldest` 继续。"],
    ),
    row(
        "files-failed",
        503,
        ["Files cannot be kept", "无法保存文件"],
        ["The node's disk failed; nothing was kept or acknowledged.", "节点磁盘故障；未保存也未确认任何内容。"],
        ["See the node's log; send it again later.", "查看节点日志；稍后重发。"],
    ),
    row(
        "forbidden",
        403,
        ["The token does not permit it", "令牌无此权限"],
        ["The token is known; what it permits does not include this.", "令牌有效，但其权限不包括此操作。"],
        ["Use a token with the permission that `detail` names.", "使用具有 `detail` 所述权限的令牌。"],
    ),
    row(
        "foreign-conversation",
        403,
        ["Not this seat's conversation", "不是本坐席的会话"],
        ["A desk reads only the conversations of its own claims.", "坐席只能读取自己占用中的会话。"],
        ["Accept its contact first.", "请先接受该联络。"],
    ),
    row(
        "foreign-origin",
        403,
        ["This page may not speak here", "该页面来源不被允许"],
        ["The Origin of the page is not on the inbox's list.", "页面的 Origin 不在该收件箱的名单中。"],
        ["Add the page's origin to the inbox.", "把页面来源加入收件箱配置。"],
    ),
    row(
        "foreign-token",
        403,
        ["The token is for somewhere else", "令牌属于其他地方"],
        ["The token is genuine, but for another inbox or tenant.", "令牌有效，但属于另一收件箱或租户。"],
        ["Get one for this place.", "获取用于此处的令牌。"],
    ),
    row(
        "idempotency-conflict",
        422,
        ["The key was used for another request", "该幂等键已用于其他请求"],
        ["The Idempotency-Key was used on this path with another body.", "该 Idempotency-Key 已在此路径上用于不同的请求体。"],
        ["Repeat the first request unchanged, or use a new key.", "原样重发第一个请求，或换新键。"],
    ),
    row(
        "idempotency-key-required",
        400,
        ["An Idempotency-Key is required", "需要 Idempotency-Key"],
        [
            "A POST that creates or acts is done once only with a key; there was none.",
            "创建或操作类 POST 需要幂等键才能保证只执行一次；请求中没有。",
        ],
        [
            "Send an Idempotency-Key header: a fresh random value for each new act, the same for a repetition.",
            "发送 Idempotency-Key 请求头：每次新操作用新的随机值，重试用相同值。",
        ],
    ),
    row(
        "idempotency-under-way",
        409,
        ["The first request with this key is under way", "相同键的首个请求仍在处理"],
        ["Another connection sent the same request and has no answer yet.", "另一连接已发送同一请求，尚未得到回答。"],
        ["Repeat after Retry-After for its answer.", "按 Retry-After 等待后重试以取得回答。"],
    ),
    row(
        "internal",
        500,
        ["A fault of ours", "内部故障"],
        [
            "Something that must not happen did; nothing of the request can be relied on.",
            "发生了不应发生的情况；该请求的结果不可依赖。",
        ],
        ["Repeat with the same key; if it stays, report it with the node's log.", "以相同的键重试；若持续，请附节点日志报告。"],
    ),
    row(
        "limit-reached",
        409,
        ["A limit of the tenant is reached", "已达租户上限"],
        [
            "The tenant holds as many of the named kind as its limits allow; nothing was taken.",
            "租户的该类资源已达上限；未接收任何内容。",
        ],
        ["Wait until some leave, or raise the limit.", "等待释放，或提高上限。"],
    ),
    row(
        "log-failed",
        503,
        ["The log cannot be written", "日志无法写入"],
        ["The disk refuses: nothing more is acknowledged by this node.", "磁盘拒绝写入：本节点不再确认任何内容。"],
        ["See the node's log, free the disk, restart.", "查看节点日志，腾出磁盘后重启。"],
    ),
    row(
        "malformed",
        400,
        ["The body cannot be read", "请求体无法读取"],
        [
            "It is no JSON (or UTF-8) of the expected form, a key stands twice, or it ended early.",
            "不是所需形式的 JSON（或 UTF-8）、键重复，或提前结束。",
        ],
        ["Send one JSON object, each key once.", "发送单个 JSON 对象，每个键只出现一次。"],
    ),
    row(
        "media-type",
        415,
        ["The body's type is not read here", "不支持的请求体类型"],
        ["Content-Type names a type that this path does not read.", "此路径不接受该 Content-Type。"],
        ["Send the type that `detail` names.", "发送 `detail` 所述类型。"],
    ),
    row(
        "method",
        405,
        ["The method is not served here", "此路径不支持该方法"],
        ["The path exists, but not with this method.", "路径存在，但不支持该方法。"],
        ["See the Allow header.", "见 Allow 响应头。"],
    ),
    row(
        "no-events",
        404,
        ["This node keeps no events", "本节点不保留事件"],
        ["Events are not configured here.", "此处未配置事件。"],
        ["Configure [events].", "请配置 [events]。"],
    ),
    row(
        "no-files",
        404,
        ["This node takes no files", "本节点不接收文件"],
        ["Files are not configured here.", "此处未配置文件。"],
        ["Configure [files].", "请配置 [files]。"],
    ),
    row(
        "no-policy",
        409,
        ["No policy is active", "尚无生效的策略"],
        ["The tenant decides nothing until a policy is active.", "策略生效之前租户不作任何决策。"],
        ["Activate one: PUT /v1/tenants/{tenant}/policy.", "先激活策略：PUT /v1/tenants/{tenant}/policy。"],
    ),
    row(
        "no-room",
        507,
        ["No room for files", "没有存放文件的空间"],
        ["The tenant's files take all of their limit, or the disk is full.", "租户文件已达上限，或磁盘已满。"],
        ["Wait until old ones go, or raise the limit.", "等待旧文件清理，或提高上限。"],
    ),
    row(
        "no-sign-in",
        404,
        ["Sign-in of people is not configured", "未配置人员登录"],
        ["The node has no sign-in provider.", "本节点未配置登录服务。"],
        ["Use a token, or configure [oidc].", "使用令牌，或配置 [oidc]。"],
    ),
    row(
        "no-such-route",
        404,
        ["Nothing is there", "此处无内容"],
        ["No such path.", "没有该路径。"],
        ["See the API's reference at /docs/api.", "见 /docs/api 的接口参考。"],
    ),
    row(
        "no-webhooks",
        404,
        ["This node delivers no webhooks", "本节点不投递 webhook"],
        ["Webhooks are not configured here.", "此处未配置 webhook。"],
        ["Configure [webhooks].", "请配置 [webhooks]。"],
    ),
    row(
        "not-an-upgrade",
        400,
        ["Not a WebSocket request", "不是 WebSocket 请求"],
        ["This path speaks WebSocket (RFC 6455) only.", "此路径只支持 WebSocket（RFC 6455）。"],
        ["Open it with a WebSocket client.", "请用 WebSocket 客户端连接。"],
    ),
    row(
        "not-open",
        409,
        ["Nothing is open in this conversation", "该会话没有进行中的联络"],
        ["The act needs an open contact; there is none, or it has ended.", "该操作需要进行中的联络；没有，或已结束。"],
        ["Begin a contact first.", "请先发起联络。"],
    ),
    row(
        "not-signed-in",
        409,
        ["The seat is not signed in", "坐席未签入"],
        ["The act needs a signed-in seat.", "该操作需要坐席已签入。"],
        ["Sign the seat in first.", "请先签入坐席。"],
    ),
    row(
        "offer-gone",
        409,
        ["The offer is gone", "该派单已失效"],
        ["It was taken, has expired or was withdrawn.", "已被接受、过期或撤回。"],
        ["Nothing: the next offer comes by itself.", "无需处理：下一个派单会自动到来。"],
    ),
    row(
        "out-of-order",
        409,
        ["Not now", "时机不对"],
        ["The frame does not fit the state of the connection.", "该帧不符合连接当前状态。"],
        ["Keep to the order of the protocol.", "按协议顺序发送。"],
    ),
    row(
        "poisoned",
        500,
        ["The deciding step failed", "决策步骤失败"],
        [
            "A fault of ours in a decision: it cost its own contact only and is recorded.",
            "决策中的内部故障：只影响该联络，并已记录。",
        ],
        ["Report it; people look after the contact.", "请报告；该联络由人工跟进。"],
    ),
    row(
        "policy-changed",
        412,
        ["Another policy is active than expected", "生效策略与预期不同"],
        [
            "If-Match or If-None-Match does not hold: somebody activated another policy.",
            "If-Match 或 If-None-Match 不成立：已有人激活其他策略。",
        ],
        ["Read the active policy, merge, repeat with its ETag.", "读取当前策略，合并后以其 ETag 重试。"],
    ),
    row(
        "policy-invalid",
        422,
        ["The policy cannot be used", "策略无法使用"],
        [
            "The text has faults; `errors` names line, column, field, problem and remedy of each.",
            "文本有错误；`errors` 列出每处的行、列、字段、问题与修改方法。",
        ],
        ["Correct them; POST policy/validate checks without activating.", "逐一修改；POST policy/validate 只检查不激活。"],
    ),
    row(
        "policy-under-way",
        409,
        ["Another activation is under way", "另一次激活正在进行"],
        ["Activations of one tenant are done one at a time.", "同一租户的策略激活逐个进行。"],
        ["Read the active policy again, then repeat with If-Match.", "重新读取当前策略，再以 If-Match 重试。"],
    ),
    row(
        "rate-limited",
        429,
        ["Too many requests", "请求过多"],
        [
            "A rate of this token, address or connection is used up; nothing was taken.",
            "该令牌、地址或连接的速率已用尽；未接收任何内容。",
        ],
        ["Slow down; repeat after Retry-After.", "放慢速度；按 Retry-After 等待后重试。"],
    ),
    row(
        "refused-by-rule",
        403,
        ["Refused by a rule", "被规则拒绝"],
        ["A rule of the active policy refuses such contacts.", "生效策略的规则拒绝此类联络。"],
        ["Nothing on the client's side; the policy names the reason.", "客户端无需处理；原因见策略。"],
    ),
    row(
        "refused-file",
        422,
        ["The file was refused", "文件被拒绝"],
        ["The inspection found something in it.", "检查发现其中有问题。"],
        ["Send another file.", "请发送其他文件。"],
    ),
    row(
        "resume-ahead",
        409,
        ["Ahead of the transcript", "超前于会话记录"],
        ["The number to resume from is newer than the newest item.", "续传编号比最新条目还新。"],
        ["Read again from 0.", "从 0 重新读取。"],
    ),
    row(
        "sign-in-refused",
        401,
        ["The sign-in does not hold", "登录无效"],
        [
            "The sign-in was used, took too long, began in another browser, or the identity does not hold.",
            "登录已被使用、超时、来自另一浏览器，或身份凭据无效。",
        ],
        ["Start again.", "重新开始登录。"],
    ),
    row(
        "sign-in-unavailable",
        503,
        ["People cannot sign in now", "暂时无法登录"],
        ["The sign-in provider does not answer as it must. Tokens go on working.", "登录服务未正常应答。令牌不受影响。"],
        ["Try again later; see the node's log.", "稍后再试；查看节点日志。"],
    ),
    row(
        "timeout",
        503,
        ["The request took too long", "请求超时"],
        ["It was given up; it may or may not have been done.", "已放弃等待；可能已执行也可能未执行。"],
        ["Repeat with the same Idempotency-Key: it is done once.", "以相同的 Idempotency-Key 重试：只会执行一次。"],
    ),
    row(
        "token-expired",
        401,
        ["The token is out of its time", "令牌已过期"],
        ["The token was good and is no more, or not yet.", "令牌曾经有效，现已过期或尚未生效。"],
        ["Get a new one.", "获取新令牌。"],
    ),
    row(
        "too-deep",
        400,
        ["The body is nested too deep", "请求体嵌套过深"],
        ["Objects and arrays stand deeper inside one another than is read.", "对象与数组的嵌套超过可读深度。"],
        ["Send flat objects as the reference shows them.", "按参考文档发送扁平对象。"],
    ),
    row(
        "too-large",
        413,
        ["The body is too large", "请求体过大"],
        ["The body has more bytes than this path reads.", "请求体字节数超过此路径的上限。"],
        ["Send less; `detail` names the limit.", "减少内容；上限见 `detail`。"],
    ),
    row(
        "too-long",
        422,
        ["A text is too long", "文本过长"],
        ["A text has more bytes than its field takes; `field` names it.", "文本字节数超过字段上限；`field` 指明是哪一个。"],
        ["Shorten it, or send it in parts.", "缩短或分段发送。"],
    ),
    row(
        "too-many",
        429,
        ["Too many of them", "数量过多"],
        ["The connection holds as many of these as it may.", "该连接持有的数量已达上限。"],
        ["Let some go first.", "先释放一些。"],
    ),
    row(
        "too-many-tokens",
        507,
        ["There are too many tokens", "令牌过多"],
        ["The node keeps at most 1,024 API tokens that are good.", "本节点最多保留 1,024 个有效 API 令牌。"],
        ["Revoke some.", "撤销一些令牌。"],
    ),
    row(
        "too-many-values",
        400,
        ["The body has too many values", "请求体的值过多"],
        ["The body has more members and elements than are read.", "成员与元素总数超过可读上限。"],
        ["Send less at once.", "一次少发一些。"],
    ),
    row(
        "too-slow",
        408,
        ["The file came too slowly", "文件传输过慢"],
        ["Nothing was kept.", "未保存任何内容。"],
        ["Send it again.", "请重新发送。"],
    ),
    row(
        "unauthorised",
        401,
        ["No valid token", "没有有效令牌"],
        ["No token was sent, or it is not valid here; which is not told.", "没有发送令牌，或令牌在此无效；不说明是哪一种。"],
        ["Send Authorization: Bearer with a valid token.", "发送 Authorization: Bearer 与有效令牌。"],
    ),
    row(
        "unknown",
        404,
        ["Not known here", "此处不存在"],
        ["No such tenant, conversation or seat on this node.", "本节点没有该租户、会话或坐席。"],
        ["Check the id, and that this is the right node.", "检查编号以及节点是否正确。"],
    ),
    row(
        "unknown-account",
        404,
        ["No such account", "没有该渠道账号"],
        ["The tenant has no channel account with this id.", "租户没有该编号的渠道账号。"],
        ["GET accounts lists them; PUT one first.", "GET accounts 可列出；请先 PUT。"],
    ),
    row(
        "unknown-agent",
        404,
        ["No such agent", "没有该坐席人员"],
        ["The roster has no agent with this id.", "名册中没有该编号。"],
        ["GET agents lists them; PUT one first.", "GET agents 可列出；请先 PUT。"],
    ),
    row(
        "unknown-class",
        404,
        ["No such class", "没有该优先级类别"],
        ["The active policy has no such class.", "生效策略没有该类别。"],
        ["Name one of the active policy.", "使用生效策略中的类别。"],
    ),
    row(
        "unknown-contact",
        404,
        ["No such open contact", "没有该进行中的联络"],
        [
            "No open contact has this id: it was never there, or it has ended. The machine keeps open contacts only.",
            "没有该编号的进行中联络：从未存在，或已结束。状态机只保留进行中的联络。",
        ],
        ["Ended contacts are told by the event stream and stand in the transcript.", "已结束的联络见事件流与会话记录。"],
    ),
    row(
        "unknown-conversation",
        404,
        ["No such conversation", "没有该会话"],
        ["The tenant has no such conversation, or it is older than the node keeps.", "租户没有该会话，或已超出保留范围。"],
        ["Use the id that beginning it answered.", "使用发起时返回的编号。"],
    ),
    row(
        "unknown-dead-letter",
        404,
        ["No such dead letter", "没有该死信"],
        ["It was sent again, or never was a dead letter.", "已重新发送，或从来不是死信。"],
        ["List the dead letters.", "请列出死信。"],
    ),
    row(
        "unknown-field",
        422,
        ["A field that does not exist", "不存在的字段"],
        ["Fields that would be ignored are refused instead.", "会被忽略的字段一律拒绝。"],
        ["Remove it, or correct its name as `detail` suggests.", "删除该字段，或按 `detail` 更正名称。"],
    ),
    row(
        "unknown-file",
        404,
        ["No such file here", "此处没有该文件"],
        ["No such file in a conversation that may be read; which is not told.", "可读会话中没有该文件；不说明原因。"],
        ["Upload it for this conversation first.", "请先为该会话上传。"],
    ),
    row(
        "unknown-inbox",
        404,
        ["No such inbox", "没有该收件箱"],
        ["No inbox has this name.", "没有该名称的收件箱。"],
        ["Check the name of the inbox.", "检查收件箱名称。"],
    ),
    row(
        "unknown-parameter",
        400,
        ["A parameter that does not exist", "不存在的参数"],
        ["Parameters that would be ignored are refused instead.", "会被忽略的参数一律拒绝。"],
        ["Remove it; `detail` lists those that exist.", "删除该参数；可用参数见 `detail`。"],
    ),
    row(
        "unknown-policy",
        404,
        ["No policy to show", "没有可显示的策略"],
        ["No policy is active, or its text is not on this node.", "没有生效策略，或其文本不在本节点。"],
        ["PUT a policy.", "请 PUT 一个策略。"],
    ),
    row(
        "unknown-queue",
        404,
        ["No such queue", "没有该技能组"],
        ["The active policy has no queue of this name.", "生效策略没有该名称的技能组。"],
        ["GET queues lists them.", "GET queues 可列出。"],
    ),
    row(
        "unknown-seat",
        404,
        ["No such seat", "没有该坐席"],
        ["The roster has no agent with this id, hence no seat.", "名册中没有该编号的人员，因而没有坐席。"],
        ["GET seats lists them.", "GET seats 可列出。"],
    ),
    row(
        "unknown-tenant",
        404,
        ["No such tenant", "没有该租户"],
        [
            "No such tenant on this node, or not within this token's reach; which is not told.",
            "本节点没有该租户，或令牌无权访问；不说明是哪一种。",
        ],
        ["Check the id and the token.", "检查编号与令牌。"],
    ),
    row(
        "unknown-token",
        404,
        ["No such token", "没有该令牌"],
        [
            "No API token has this id, it has ended, or it is not within reach; which is not told.",
            "没有该编号的 API 令牌、已失效，或无权访问；不说明是哪一种。",
        ],
        ["GET /v1/tokens lists them.", "GET /v1/tokens 可列出。"],
    ),
    row(
        "unknown-webhook",
        404,
        ["No such webhook", "没有该 webhook"],
        ["The tenant has no webhook with this id.", "租户没有该编号的 webhook。"],
        ["List the webhooks.", "请列出 webhook。"],
    ),
    row(
        "verified-only",
        403,
        ["Sign in first", "请先登录"],
        ["This inbox takes verified visitors only.", "该收件箱只接受已验证的访客。"],
        ["Open the session with a signed identity.", "用签名身份打开会话。"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_complete_and_apart() {
        for pair in PROBLEMS.windows(2) {
            assert!(pair[0].slug < pair[1].slug, "{} stands before {}", pair[0].slug, pair[1].slug);
        }
        for row in PROBLEMS {
            assert!((400..600).contains(&row.status), "{}", row.slug);
            assert!(row.slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", row.slug);
            for said in [row.title, row.means, row.remedy] {
                assert!(!said.en.is_empty() && !said.zh.is_ascii(), "{}: both languages", row.slug);
            }
        }
    }
}
