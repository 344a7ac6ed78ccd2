//! The web page: counts, newest entries and alerts, rendered here and refreshed without a reload. It shows and changes
//! nothing.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use dynoxide::DynoxideError;
use ledger::{EntryKey, Item, TenantId, entry::attribute, projection::Verdict};
use serde_json::json;

use crate::{
    reconciliation::{read_projected, text},
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
pub fn router(services: Arc<Services>) -> Router {
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
    let mut response = next.run(request).await;
    let policy = axum::http::HeaderValue::from_static(SECURITY_POLICY);
    response.headers_mut().insert(HeaderName::from_static("content-security-policy"), policy);
    response
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

#[derive(Default)]
struct Counts {
    ready: i64,
    invalid: i64,
}

fn counts_by_tenant(services: &Services) -> Result<BTreeMap<TenantId, Counts>, DynoxideError> {
    let mut tenants: BTreeMap<TenantId, Counts> = BTreeMap::new();
    for (day, counts) in read_projected(services)?.days {
        let tenant = tenants.entry(day.tenant_id).or_default();
        tenant.ready += counts.of_verdict(Verdict::Ready);
        tenant.invalid += counts.of_verdict(Verdict::Invalid);
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
    entries.sort_by_key(|entry| std::cmp::Reverse(text(entry, attribute::SK)));
    entries.truncate(ENTRIES_MAX);
    Ok(entries)
}

fn queues(services: &Services) -> String {
    let deployment = &services.deployment;
    let names = [
        deployment.project.events_queue(),
        deployment.project.dead_letter_queue(),
        deployment.project.failures_queue(),
    ];
    let mut rows = String::new();
    for name in names {
        let attributes = services.shared.look(|state, now_ms| state.sqs.queue_attributes(now_ms, &name));
        let attributes = attributes.unwrap_or_default();
        let count = |attribute: &str| escape(attributes.get(attribute).map_or("–", String::as_str));
        let (waiting, in_flight) =
            (count("ApproximateNumberOfMessages"), count("ApproximateNumberOfMessagesNotVisible"));
        let name = escape(&name);
        let _ = write!(
            rows,
            "<tr><td>{name}</td><td class=\"number\">{waiting}</td><td class=\"number\">{in_flight}</td></tr>"
        );
    }
    section("Queues", "<th>queue</th><th class=\"number\">waiting</th><th class=\"number\">in flight</th>", &rows)
}

fn tenants_table(tenants: &BTreeMap<TenantId, Counts>) -> String {
    let mut rows = String::new();
    for (tenant, counts) in tenants {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td class=\"number READY\">{}</td><td class=\"number INVALID\">{}</td></tr>",
            escape(tenant.as_str()),
            counts.ready,
            counts.invalid
        );
    }
    let heads = "<th>tenant</th><th class=\"number\">READY</th><th class=\"number\">INVALID</th>";
    section("Entries by tenant", heads, &rows)
}

fn entries_table(entries: &[Item]) -> String {
    let mut rows = String::new();
    for entry in entries {
        let key = EntryKey::from_item(entry);
        let (created_at, event_id) = key.as_ref().map_or(("", ""), |key| (key.created_at(), key.event_id()));
        let status = escape(&text(entry, attribute::STATUS));
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td class=\"{status}\">{status}</td><td>{}</td><td class=\"id\">{}</td><td>{}</td></tr>",
            escape(created_at.get(..19).unwrap_or(created_at)),
            escape(&text(entry, attribute::TENANT_ID)),
            escape(&text(entry, attribute::EVENT_TYPE)),
            escape(event_id),
            escape(&text(entry, attribute::REASON)),
        );
    }
    let heads =
        "<th>created (UTC)</th><th>tenant</th><th>status</th><th>event type</th><th>event id</th><th>reason</th>";
    section("Newest entries", heads, &rows)
}

fn alerts_table(alerts: &[PublishedMessage]) -> String {
    let mut rows = String::new();
    for alert in alerts {
        let subject = alert.request.subject.as_deref().unwrap_or_default();
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td><pre>{}</pre></td></tr>",
            time_of_day(alert.published_ms),
            escape(subject),
            escape(&alert.request.message)
        );
    }
    section("Alerts", "<th>time (UTC)</th><th>subject</th><th>message</th>", &rows)
}

fn section(title: &str, heads: &str, rows: &str) -> String {
    if rows.is_empty() {
        return format!("<h2>{title}</h2><p class=\"muted\">none yet</p>");
    }
    format!("<h2>{title}</h2><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")
}

fn time_of_day(moment_ms: u64) -> String {
    let seconds = moment_ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
