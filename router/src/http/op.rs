//! One operation of the API: where it is served, by whom, and everything that a caller must know, in one value.
//!
//! The router and the OpenAPI document are made from the same list of these, so nothing is served that is not described.
//! An operation lists its problems by slug; statuses, titles and meanings come from the table of `tidegate_model::problem`,
//! and the ones that every request may meet (token, rate, time, body) are added here. It refuses to know what an operation
//! does.
//!
//! Drive it: [`Op::get`], [`Op::post`], [`Op::put`], then the words in any order, then [`Op::route`] and [`Op::describe`].

use super::Api;
use super::shape;
use crate::auth::Permission;
use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use std::collections::BTreeMap;
use tidegate_model::problem::{self, ProblemType};
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Components, OpenApi, Ref, Required};
use utoipa::openapi::{RefOr, Schema};

/// Name of the security scheme of administration tokens.
pub(super) const TOKEN_SCHEME: &str = "platform_token";

/// An operation.
pub(super) struct Op {
    method: HttpMethod,
    path: &'static str,
    serve: MethodRouter<Api>,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: String,
    need: Option<Permission>,
    parameters: Vec<Parameter>,
    bodies: Vec<(&'static str, RefOr<Schema>)>,
    body_required: bool,
    answers: Vec<(u16, Response)>,
    problems: Vec<&'static str>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Op {
    fn new(method: HttpMethod, path: &'static str, serve: MethodRouter<Api>) -> Self {
        let mut op = Self {
            method,
            path,
            serve,
            id: "",
            tag: "",
            summary: "",
            description: String::new(),
            need: None,
            parameters: Vec::new(),
            bodies: Vec::new(),
            body_required: true,
            answers: Vec::new(),
            problems: vec!["rate-limited", "timeout"],
            schemas: Vec::new(),
        };
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let (schema, says) = shape::path_parameter(name);
            op.parameters.push(parameter(name, ParameterIn::Path, true, schema, says));
        }
        if path.contains("{tenant}") {
            op.problems.push("unknown-tenant");
        }
        if path.matches('{').count() > 1 {
            op.problems.push("bad-parameter");
        }
        op
    }

    /// A GET.
    pub(super) fn get<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(HttpMethod::Get, path, get(handler))
    }

    /// A PUT.
    pub(super) fn put<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(HttpMethod::Put, path, put(handler))
    }

    /// A POST.
    pub(super) fn post<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(HttpMethod::Post, path, post(handler))
    }

    /// A PATCH.
    pub(super) fn patch<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(HttpMethod::Patch, path, patch(handler))
    }

    /// A DELETE.
    pub(super) fn delete<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(HttpMethod::Delete, path, delete(handler))
    }

    /// Its body may be left out, which is the same as an empty object.
    pub(super) fn optional_body(mut self) -> Self {
        self.body_required = false;
        self
    }

    /// Its id (unique), the group it stands in, and what it does in one line.
    pub(super) fn named(mut self, tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        (self.tag, self.id, self.summary) = (tag, id, summary);
        self
    }

    /// What a caller must know beyond the summary.
    pub(super) fn says(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The permission that it asks for.
    pub(super) fn needs(mut self, need: Permission) -> Self {
        self.need = Some(need);
        self.problems.extend(["unauthorised", "forbidden", "internal"]);
        self
    }

    /// A parameter of the query.
    pub(super) fn query(mut self, name: &'static str, schema: RefOr<Schema>, says: &str) -> Self {
        self.parameters.push(parameter(name, ParameterIn::Query, false, schema, says));
        self.problems.extend(["bad-parameter", "unknown-parameter"]);
        self
    }

    /// A header.
    pub(super) fn header(mut self, name: &'static str, schema: RefOr<Schema>, says: &str) -> Self {
        self.parameters.push(parameter(name, ParameterIn::Header, false, schema, says));
        self.problems.push("bad-parameter");
        self
    }

    /// It takes an Idempotency-Key; a POST that creates or acts insists on one.
    pub(super) fn keyed(mut self, required: bool) -> Self {
        let says = "Names this write: repeated with the same key on the same path it is done once and answered as the first time. \
                    A fresh random value for each new write.";
        self.parameters.push(parameter("Idempotency-Key", ParameterIn::Header, required, shape::key(), says));
        self.problems.extend(["bad-parameter", "unknown-parameter", "idempotency-conflict", "idempotency-under-way"]);
        self.problems.extend(["busy", "closed", "log-failed", "poisoned"]);
        if required {
            self.problems.push("idempotency-key-required");
        }
        self
    }

    /// It reads one JSON object of a named shape.
    pub(super) fn reads(mut self, name: &str, shape: RefOr<Schema>) -> Self {
        self.schemas.push((name.to_owned(), shape));
        self.bodies.push(("application/json", RefOr::Ref(Ref::from_schema_name(name))));
        self.problems.extend(["malformed", "too-deep", "too-many-values", "bad-field", "unknown-field", "too-long"]);
        self.problems.extend(["too-large", "media-type"]);
        self
    }

    /// A named shape that others refer to.
    pub(super) fn shape(mut self, name: &str, shape: RefOr<Schema>) -> Self {
        self.schemas.push((name.to_owned(), shape));
        self
    }

    /// It reads text of these types.
    pub(super) fn reads_text(mut self, kinds: &[&'static str], schema: RefOr<Schema>) -> Self {
        self.bodies.extend(kinds.iter().map(|kind| (*kind, schema.clone())));
        self.problems.extend(["malformed", "too-large", "media-type"]);
        self
    }

    /// It answers with JSON.
    pub(super) fn answers<T: ToSchema>(mut self, status: u16, says: &str) -> Self {
        let schema = self.keep::<T>();
        self.answer(status, says, Some(("application/json", schema)))
    }

    /// It answers with a text, or with nothing but a status.
    pub(super) fn answer(mut self, status: u16, says: &str, content: Option<(&str, RefOr<Schema>)>) -> Self {
        let mut response = ResponseBuilder::new().description(says);
        if let Some((kind, schema)) = content {
            response = response.content(kind, ContentBuilder::new().schema(Some(schema)).build());
        }
        self.answers.push((status, response.build()));
        self
    }

    /// An answer's header.
    pub(super) fn with_header(mut self, name: &str, says: &str) -> Self {
        if let Some((_, response)) = self.answers.last_mut() {
            let header = HeaderBuilder::new().schema(Some(shape::any_text())).description(Some(says)).build();
            response.headers.insert(name.to_owned(), header.into());
        }
        self
    }

    /// Problems that it may answer with, by slug, beyond the common ones.
    pub(super) fn problems(mut self, slugs: &[&'static str]) -> Self {
        self.problems.extend_from_slice(slugs);
        self
    }

    fn keep<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), T::schema()));
        RefOr::Ref(Ref::from_schema_name(name))
    }

    /// Method, path and permission.
    #[cfg(test)]
    pub(super) fn facts(&self) -> (String, &'static str, Option<Permission>) {
        let method = match self.method {
            HttpMethod::Get => "GET",
            HttpMethod::Put => "PUT",
            HttpMethod::Post => "POST",
            HttpMethod::Patch => "PATCH",
            HttpMethod::Delete => "DELETE",
            _ => "other",
        };
        (method.to_owned(), self.path, self.need)
    }

    /// Mounts it.
    pub(super) fn route(self, router: Router<Api>) -> Router<Api> {
        router.route(self.path, self.serve)
    }

    /// Writes it into a document.
    pub(super) fn describe(&self, document: &mut OpenApi) {
        let mut op = OperationBuilder::new().operation_id(Some(self.id)).tag(self.tag).summary(Some(self.summary));
        let mut description = self.description.clone();
        if let Some(need) = self.need {
            op = op.security(SecurityRequirement::new(TOKEN_SCHEME, Vec::<String>::new()));
            let roles: Vec<_> = need.roles().iter().map(|role| format!("`{role}`")).collect();
            let sentence = format!("Needs the permission `{need}`: {}.", roles.join(", "));
            description = if description.is_empty() { sentence } else { format!("{description}\n\n{sentence}") };
        } else {
            op = op.securities(Some(Vec::<SecurityRequirement>::new()));
        }
        op = op.description((!description.is_empty()).then_some(description));
        for parameter in &self.parameters {
            op = op.parameter(parameter.clone());
        }
        if !self.bodies.is_empty() {
            // A text may be empty, which on the wire is no body.
            let is_json = self.bodies.iter().any(|(kind, _)| *kind == "application/json");
            let required = if is_json && self.body_required { Required::True } else { Required::False };
            let mut body = RequestBodyBuilder::new().required(Some(required));
            for (kind, schema) in &self.bodies {
                body = body.content(*kind, ContentBuilder::new().schema(Some(schema.clone())).build());
            }
            op = op.request_body(Some(body.build()));
        }
        for (status, response) in &self.answers {
            op = op.response(status.to_string(), response.clone());
        }
        for (status, rows) in by_status(&self.problems) {
            op = op.response(status.to_string(), problem_response(&rows));
        }
        document.paths.add_path_operation(self.path, vec![self.method.clone()], op.build());
        let components = document.components.get_or_insert_with(Components::new);
        for (name, schema) in &self.schemas {
            components.schemas.insert(name.clone(), schema.clone());
        }
    }
}

fn by_status(slugs: &[&'static str]) -> BTreeMap<u16, Vec<&'static ProblemType>> {
    let mut grouped = BTreeMap::<u16, Vec<_>>::new();
    for row in slugs.iter().filter_map(|slug| problem::find(slug)) {
        let rows = grouped.entry(row.status).or_default();
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    grouped
}

/// An answer with one of some problems.
pub(super) fn problem_response(rows: &[&ProblemType]) -> Response {
    let lines: Vec<_> =
        rows.iter().map(|row| format!("[`{}`]({}{}): {}", row.slug, problem::URI, row.slug, row.title.en)).collect();
    let schema = RefOr::<Schema>::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let mut response = ResponseBuilder::new().description(lines.join("; ")).content("application/problem+json", content);
    if rows.iter().any(|row| matches!(row.slug, "busy" | "rate-limited" | "idempotency-under-way")) {
        let says = "Seconds to wait before the repetition.";
        response =
            response.header("Retry-After", HeaderBuilder::new().schema(Some(shape::any_text())).description(Some(says)).build());
    }
    response.build()
}

fn parameter(name: &str, place: ParameterIn, required: bool, schema: RefOr<Schema>, says: &str) -> Parameter {
    let required = if required { Required::True } else { Required::False };
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).description(Some(says)).build()
}
