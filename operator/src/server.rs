//! `/healthz`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

use crate::error::StartError;
use crate::metrics::Metrics;
use crate::pulse::Pulse;

/// How long a client may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the server answers from.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether every object has been seen once.
    pub ready: AtomicBool,
    /// Whether the watches are alive.
    pub pulse: Arc<Pulse>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

impl Health {
    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        match path {
            "/healthz" => match self.pulse.complaint() {
                None => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
                Some(complaint) => {
                    text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{complaint}\n"))
                }
            },
            "/readyz" if self.ready.load(Ordering::Relaxed) => {
                text(StatusCode::OK, "text/plain", "ok\n".to_owned())
            }
            "/readyz" => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                "has not seen every object yet\n".to_owned(),
            ),
            "/metrics" => {
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

/// Answers for as long as the process runs.
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
        drop(health.pulse.alive(crate::kind::Kind::Job));
        assert_eq!(status("/healthz"), 500, "the watch of Jobs has ended");
    }
}
