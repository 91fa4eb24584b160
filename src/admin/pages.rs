//! The pages and where their content comes from.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Limits;
use crate::metrics::Metrics;

/// Content that is being put together.
pub type Content<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// Puts the content of one page together.
pub type Page<T> = Box<dyn Fn() -> Content<T> + Send + Sync>;
/// Makes the answer of `/api/v1/explain`; the error says what was wrong with the question.
pub type Explain = Box<dyn Fn(ExplainQuery) -> Content<Result<Value, String>> + Send + Sync>;

/// What the pages say, as functions of the parts that know it. They run on the admin thread and must not block it.
pub struct Pages {
    /// Every metric in Prometheus' text format.
    pub metrics: Page<String>,
    /// Whether the process can do its work.
    pub readiness: Page<Readiness>,
    /// The state of every object.
    pub status: Page<Value>,
    /// The decision for one question, with its reasons.
    pub explain: Explain,
    /// The peers of the mesh.
    pub mesh: Page<Value>,
}

/// Whether the process can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It answers, and something beside that is wrong, one line each.
    Degraded(Vec<String>),
    /// Not yet: what it waits for, one line each.
    Waiting(Vec<String>),
}

/// The parameters of `/api/v1/explain`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The name asked for.
    pub name: String,
    /// The type; A when absent.
    #[serde(rename = "type")]
    pub record_type: Option<String>,
    /// The address the query comes from; loopback when absent.
    pub client: Option<IpAddr>,
    /// The client subnet the query carries, as `address/length`.
    pub subnet: Option<String>,
    /// The view to answer from, whoever asks.
    pub view: Option<String>,
    /// The name of the key that signs the query.
    pub key: Option<String>,
    /// The listener that the query comes to, as its address and port.
    pub listener: Option<String>,
}

const INDEX: &str = "fairlead\n\n/livez\n/readyz\n/metrics\n/api/v1/status\n/api/v1/explain?name=&type=&client=&subnet=&view=&key=&listener=\n/api/v1/mesh\n";

/// Every path with its page.
pub(super) fn router(pages: Pages, limits: &Limits) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/explain", get(explain))
        .route("/api/v1/mesh", get(mesh))
        .layer(DefaultBodyLimit::max(limits.body_size_max))
        .with_state(Arc::new(pages))
}

async fn readyz(State(pages): State<Arc<Pages>>) -> Response {
    match (pages.readiness)().await {
        Readiness::Ready => "ready\n".into_response(),
        // Still 200: its answers are good, and taking a node out of use for its control socket would help nobody.
        Readiness::Degraded(lines) => {
            lines.iter().fold("ready\n".to_owned(), |text, line| format!("{text}degraded: {line}\n")).into_response()
        }
        Readiness::Waiting(lines) => {
            let text = lines.iter().fold("not ready\n".to_owned(), |text, line| format!("{text}waiting for {line}\n"));
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], (pages.metrics)().await).into_response()
}

async fn status(State(pages): State<Arc<Pages>>) -> Json<Value> {
    Json((pages.status)().await)
}

async fn explain(State(pages): State<Arc<Pages>>, Query(query): Query<ExplainQuery>) -> Response {
    match (pages.explain)(query).await {
        Ok(explanation) => Json(explanation).into_response(),
        Err(wrong) => (StatusCode::BAD_REQUEST, Json(json!({ "error": wrong }))).into_response(),
    }
}

async fn mesh(State(pages): State<Arc<Pages>>) -> Json<Value> {
    Json((pages.mesh)().await)
}
