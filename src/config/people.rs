//! Checks how people sign in: the provider, the files that it names, the map of roles, the logins of agents.
//!
//! What the router's own rule can say is asked there, so that what would fail at the start fails in `config check`. It refuses
//! to know the provider: nothing is asked over the network. No secret is part of a message.

use super::check::{Faults, role};
use super::file::{File, Oidc};
use super::layers::Path as Field;
use std::collections::BTreeSet;
use std::path::Path;
use tidegate_model::{SeatId, TenantId};
use tidegate_router::auth::{OidcConfig, Provider, Role, RoleOf};

/// Longest login, in bytes.
const LOGIN_BYTES_MAX: usize = 254;

/// The sign-in of people as the router takes it.
pub(super) fn read_oidc(base: &Path, file: &File, faults: &mut Faults<'_>) -> Option<OidcConfig> {
    let logins = logins(file, faults);
    let oidc = file.oidc.as_ref()?;
    let at = Field::key("oidc");
    let known: BTreeSet<u32> = file.tenant.iter().map(|tenant| tenant.id).collect();
    for (index, row) in oidc.map.iter().enumerate() {
        let at = at.then("map").at(index);
        if row.value.is_empty() {
            faults.add(&at.then("value"), "oidc.map.value", "is empty; write a value of the role claim");
        }
        if let Some(tenant) = row.tenant.filter(|tenant| !known.contains(tenant)) {
            faults.add(&at.then("tenant"), "oidc.map.tenant", format!("there is no [[tenant]] with id = {tenant}"));
        }
        if role(row.role) == Role::Agent && row.tenant.is_none() && oidc.seat_claim.is_some() {
            let problem = "an agent by seat_claim needs the tenant of the seat; add tenant = N";
            faults.add(&at.then("role"), "oidc.map.role", problem);
        }
    }
    let redirect = oidc.redirect.trim_end_matches('/');
    let is_base = redirect.split_once("://").is_some_and(|(scheme, host)| {
        let host = host.to_ascii_lowercase();
        let is_here = host.starts_with("localhost") || host.starts_with("127.0.0.1") || host.starts_with("[::1]");
        !host.is_empty() && !host.contains('/') && (scheme == "https" || (scheme == "http" && is_here))
    });
    if !is_base {
        let problem = "write where browsers reach this node, as https://HOST[:PORT] (http on this very machine alone)";
        faults.add(&at.then("redirect"), "oidc.redirect", problem);
    }
    if oidc.client_id.is_empty() {
        faults.add(&at.then("client_id"), "oidc.client_id", "is empty; write this node's name at the provider");
    }
    let config = OidcConfig {
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: secret(base, oidc, &at, faults),
        redirect: format!("{redirect}/v1/auth/oidc/callback"),
        scopes: oidc.scopes.clone(),
        role_claim: oidc.role_claim.clone(),
        map: oidc
            .map
            .iter()
            .map(|row| RoleOf { value: row.value.clone(), role: role(row.role), tenant: row.tenant.map(TenantId) })
            .collect(),
        seat_claim: oidc.seat_claim.clone(),
        login_claim: oidc.login_claim.clone(),
        logins,
    };
    if is_base && let Err(error) = Provider::new(config.clone()) {
        faults.add(&at.then("issuer"), "oidc", error);
    }
    Some(config)
}

fn secret(base: &Path, oidc: &Oidc, at: &Field, faults: &mut Faults<'_>) -> Option<String> {
    let file = base.join(oidc.client_secret_file.as_ref()?);
    let mut wrong = |problem: String| {
        let problem = format!("{}: {problem}", file.display());
        faults.add(&at.then("client_secret_file"), "oidc.client_secret_file", problem);
        None
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
            Some(secret) => Some(secret.to_owned()),
            None => wrong("its first line is empty; write the secret there".to_owned()),
        },
        Err(error) => wrong(format!("{error}; make the file with the secret as its first line")),
    }
}

fn logins(file: &File, faults: &mut Faults<'_>) -> Vec<(String, TenantId, SeatId)> {
    let mut logins: Vec<(String, TenantId, SeatId)> = Vec::new();
    for (i, tenant) in file.tenant.iter().enumerate() {
        for (j, agent) in tenant.agent.iter().enumerate() {
            let Some(login) = &agent.login else { continue };
            if login.is_empty() || login.len() > LOGIN_BYTES_MAX || logins.iter().any(|(other, ..)| other == login) {
                let problem = format!("1 to {LOGIN_BYTES_MAX} bytes, unlike any other agent's of the node");
                let at = Field::key("tenant").at(i).then("agent").at(j).then("login");
                faults.add(&at, &format!("agent \"{}\".login", agent.name), problem);
            }
            logins.push((login.clone(), TenantId(tenant.id), SeatId(agent.seat)));
        }
    }
    logins
}
