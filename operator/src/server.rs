//! `/healthz`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tracing::{debug, info};

use crate::controller::Context;
use crate::error::StartError;
use crate::metrics::Metrics;

/// How long a client may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server answers from.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether every object has been seen once.
    pub ready: AtomicBool,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where some of them are counted, once it exists.
    pub context: Mutex<Weak<Context>>,
}

impl Health {
    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        match path {
            "/healthz" => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
            "/readyz" if self.ready.load(Ordering::Relaxed) => {
                text(StatusCode::OK, "text/plain", "ok\n".to_owned())
            }
            "/readyz" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                "has not seen every object yet\n".to_owned(),
            ),
            "/metrics" => {
                self.count();
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                text(StatusCode::OK, kind, self.metrics.text())
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "text/plain",
                "there are /healthz, /readyz and /metrics\n".to_owned(),
            ),
        }
    }

    fn count(&self) {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(context) = context else { return };
        let databases = context.databases.state();
        self.metrics.set_databases(databases.iter().map(AsRef::as_ref));
        let load = context.world().load(&context.databases, &context.settings.namespace);
        self.metrics.in_flight.set(i64::from(load.total()));
        self.metrics.leader.set(i64::from(*context.leading.borrow()));
        context.voice.count_stuck_jobs();
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

/// Takes the address, so that a wrong one is known at once.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Answers for ever.
pub async fn serve(listener: TcpListener, health: Arc<Health>) {
    if let Ok(address) = listener.local_addr() {
        info!(%address, "serving /healthz, /readyz and /metrics");
    }
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Such as too many open files, which passes.
                debug!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = health.answer(request.uri().path());
                async { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                debug!(%error, "a connection broke");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_comes_later_than_healthy() {
        let health = Health::default();
        let status = |path| health.answer(path).status().as_u16();
        assert_eq!(
            (status("/healthz"), status("/readyz"), status("/metrics"), status("/")),
            (200, 503, 200, 404)
        );
        health.ready.store(true, Ordering::Relaxed);
        assert_eq!(status("/readyz"), 200);
    }
}
