//! The web page: counts, newest entries and alerts, rendered here and refreshed without a reload. It shows and changes
//! nothing.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use dynoxide::DynoxideError;
use ledger::{
    Item, TenantId,
    entry::attribute,
    projection::{Verdict, counts},
};
use serde_json::json;

use crate::{
    reconciliation::{columns, newest, read_projected, text},
    service::wire::query::escape,
    services::Services,
    state::PublishedMessage,
};

/// Tenants whose entries are looked through, entries and alerts shown.
const TENANTS_MAX: usize = 50;
const ENTRIES_MAX: usize = 50;
const ALERTS_MAX: usize = 20;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Nothing from elsewhere, nothing inline: what a producer sent stays text, whatever it is.
const SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The routes of the page.
pub(crate) fn router(services: Arc<Services>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/page.css", get(([(header::CONTENT_TYPE, "text/css")], STYLE)))
        .route("/page.js", get(([(header::CONTENT_TYPE, "text/javascript")], SCRIPT)))
        .layer(middleware::from_fn(only_this_machine))
        .with_state(services)
}

/// Refuses requests that name another host: a page elsewhere could otherwise read this one through a name of its own
/// that resolves to 127.0.0.1.
async fn only_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !["127.0.0.1", "localhost"].contains(&name) {
        return (StatusCode::FORBIDDEN, "this page answers on 127.0.0.1 and localhost only").into_response();
    }
    ([(header::CONTENT_SECURITY_POLICY, SECURITY_POLICY)], next.run(request).await).into_response()
}

async fn overview(State(services): State<Arc<Services>>) -> Response {
    match render(&services) {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the tables cannot be read; see the log").into_response()
        }
    }
}

fn render(services: &Services) -> Result<String, DynoxideError> {
    let tenants = counts_by_tenant(services)?;
    let entries = newest_entries(services, tenants.keys().take(TENANTS_MAX))?;
    let alerts: Vec<PublishedMessage> =
        services.shared.look(|state, _| state.published.iter().rev().take(ALERTS_MAX).cloned().collect());
    let deployment = &services.deployment;
    let (project, endpoint) = (escape(deployment.project.name()), escape(&deployment.endpoint_url));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{project}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/page.css\">\
         <script src=\"/page.js\" defer></script></head><body>\
         <h1>{project}</h1><p class=\"muted\">local cloud on {endpoint}</p>\
         <main>{}{}{}{}</main></body></html>\n",
        queues(services),
        tenants_table(&tenants),
        entries_table(&entries),
        alerts_table(&alerts),
    ))
}

/// Entries by tenant, READY and INVALID.
fn counts_by_tenant(services: &Services) -> Result<BTreeMap<TenantId, [i64; 2]>, DynoxideError> {
    let mut tenants: BTreeMap<TenantId, [i64; 2]> = BTreeMap::new();
    for (key, day) in read_projected(services)?.of_model(&counts::COUNTS.id()) {
        let [ready, invalid] = tenants.entry(key.tenant_id.clone()).or_default();
        *ready += counts::of_verdict(day, Verdict::Ready);
        *invalid += counts::of_verdict(day, Verdict::Invalid);
    }
    Ok(tenants)
}

fn newest_entries<'t>(
    services: &Services,
    tenants: impl Iterator<Item = &'t TenantId>,
) -> Result<Vec<Item>, DynoxideError> {
    let mut entries = Vec::new();
    for tenant in tenants {
        entries.extend(services.dynamodb.query(json!({
            "TableName": services.deployment.project.events_table(),
            "KeyConditionExpression": "tenant_id = :tenant",
            "ExpressionAttributeValues": {":tenant": {"S": tenant.as_str()}},
            "ScanIndexForward": false,
            "Limit": ENTRIES_MAX,
        }))?);
    }
    Ok(entries)
}

fn queues(services: &Services) -> String {
    let project = &services.deployment.project;
    let names = [project.events_queue(), project.dead_letter_queue(), project.failures_queue()];
    let rows = names.iter().map(|name| {
        let attributes = services.shared.look(|state, now_ms| state.sqs.queue_attributes(now_ms, name));
        let attributes = attributes.unwrap_or_default();
        let count = |attribute: &str| cell("number", attributes.get(attribute).map_or("–", String::as_str));
        [cell("", name), count("ApproximateNumberOfMessages"), count("ApproximateNumberOfMessagesNotVisible")].concat()
    });
    section("Queues", "<th>queue</th><th class=\"number\">waiting</th><th class=\"number\">in flight</th>", rows)
}

fn tenants_table(tenants: &BTreeMap<TenantId, [i64; 2]>) -> String {
    let rows = tenants.iter().map(|(tenant, [ready, invalid])| {
        let count = |class: &str, count: &i64| cell(class, &count.to_string());
        cell("", tenant.as_str()) + &count("number READY", ready) + &count("number INVALID", invalid)
    });
    let heads = "<th>tenant</th><th class=\"number\">READY</th><th class=\"number\">INVALID</th>";
    section("Entries by tenant", heads, rows)
}

fn entries_table(entries: &[Item]) -> String {
    let rows = newest(entries, ENTRIES_MAX).into_iter().map(|entry| {
        let [tenant, status, event_type, created_at, event_id] = columns(entry);
        [
            cell("", &created_at),
            cell("", &tenant),
            cell(&escape(&status), &status),
            cell("", &event_type),
            cell("id", &event_id),
            cell("", text(entry, attribute::REASON)),
        ]
        .concat()
    });
    let heads =
        "<th>created (UTC)</th><th>tenant</th><th>status</th><th>event type</th><th>event id</th><th>reason</th>";
    section("Newest entries", heads, rows)
}

fn alerts_table(alerts: &[PublishedMessage]) -> String {
    let rows = alerts.iter().map(|alert| {
        let (time, subject) = (time_of_day(alert.published_ms), alert.request.subject.as_deref().unwrap_or_default());
        let message = format!("<td><pre>{}</pre></td>", escape(&alert.request.message));
        cell("", &time) + &cell("", subject) + &message
    });
    section("Alerts", "<th>time (UTC)</th><th>subject</th><th>message</th>", rows)
}

fn cell(class: &str, text: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<td{class}>{}</td>", escape(text))
}

fn section(title: &str, heads: &str, rows: impl Iterator<Item = String>) -> String {
    let rows: String = rows.map(|cells| format!("<tr>{cells}</tr>")).collect();
    if rows.is_empty() {
        return format!("<h2>{title}</h2><p class=\"muted\">none yet</p>");
    }
    format!("<h2>{title}</h2><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")
}

fn time_of_day(moment_ms: u64) -> String {
    let seconds = moment_ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
