//! Values from AWS Secrets Manager.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_secretsmanager::config::SharedHttpClient;
use aws_sdk_secretsmanager::error::DisplayErrorContext;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use driver::secret::Secret;

/// How long one request may take, its retries not counted.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no such value. The message names field and secret, and holds no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// What should name the secret does not.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be read, or lacks the key.
    #[error("{0}")]
    Missing(String),
}

/// A key of a JSON secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretKey<'a> {
    /// The secret's ARN.
    pub arn: &'a str,
    /// The key in its JSON object.
    pub key: &'a str,
}

/// The value of one key of a JSON secret. `field` begins the sentence of an error.
///
/// Credentials come from the standard variables or by web identity, never from the node: what a node may
/// read, its tenants may not. `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_SECRETS_MANAGER` are honored.
pub async fn secret(reference: SecretKey<'_>, field: &str) -> Result<Secret, SecretError> {
    let region = region(reference.arn).ok_or_else(|| {
        SecretError::Invalid(format!("{field}: {:?} is not an ARN with a region", reference.arn))
    })?;
    let credentials = ambient_credentials(region);
    let region = Region::new(region.to_owned());
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http_client())
        .credentials_provider(credentials)
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
        .load()
        .await;
    read(&config, reference, field).await
}

/// The pod's own login to AWS: the standard variables, or a web identity. It asks nobody yet.
pub fn ambient_credentials(region: &str) -> SharedCredentialsProvider {
    let provider = ProviderConfig::without_region()
        .with_region(Some(Region::new(region.to_owned())))
        .with_http_client(http_client());
    let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(&provider).build();
    let chain =
        CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("web identity", web_identity);
    SharedCredentialsProvider::new(chain)
}

/// The SDK's client, on ring.
fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Asks Secrets Manager as `config` says.
async fn read(config: &SdkConfig, reference: SecretKey<'_>, field: &str) -> Result<Secret, SecretError> {
    let fails = |why: String| SecretError::Missing(format!("{field}: cannot read {}: {why}", reference.arn));
    let answer =
        aws_sdk_secretsmanager::Client::new(config).get_secret_value().secret_id(reference.arn).send().await;
    let answer = answer.map_err(|error| fails(DisplayErrorContext(error).to_string()))?;
    let text = Secret::new(answer.secret_string().unwrap_or_default());
    // The parser's own message could quote the text.
    let json: serde_json::Value = serde_json::from_str(text.expose())
        .map_err(|_| fails("its value is not a JSON object".to_owned()))?;
    let value = json.get(reference.key).and_then(serde_json::Value::as_str);
    value.map(Secret::new).ok_or_else(|| fails(format!("it has no key {:?} with a text", reference.key)))
}

/// The fourth field of an ARN.
fn region(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::config::Credentials;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers one request on loopback with that status and body, and returns the request's headers.
    async fn answer_once(status: &str, body: &str) -> (SdkConfig, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            let mut buffer = [0; 4096];
            while !request.contains("SecretId") {
                let read = stream.read(&mut buffer).await.unwrap();
                request.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            request
        });
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .build();
        (config, served)
    }

    fn reference(key: &str) -> SecretKey<'_> {
        SecretKey { arn: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf", key }
    }

    #[tokio::test]
    async fn a_key_of_a_json_secret_is_read_with_a_signed_request() {
        let (config, served) =
            answer_once("200 OK", r#"{"SecretString": "{\"password\": \"hunter2\"}"}"#).await;
        let secret = read(&config, reference("password"), "spec.credentials.password").await.unwrap();
        assert_eq!(secret.expose(), "hunter2");
        let request = served.await.unwrap();
        assert!(request.contains("secretsmanager.GetSecretValue"), "{request}");
        assert!(request.contains("AWS4-HMAC-SHA256"), "{request}");
        assert!(request.contains("secret:db-AbCdEf"), "{request}");
    }

    #[tokio::test]
    async fn what_is_wrong_with_it_is_said_without_its_value() {
        let answers = [
            ("200 OK", r#"{"SecretString": "{\"user\": \"hunter2\"}"}"#, "no key \"password\""),
            ("200 OK", r#"{"SecretString": "hunter2"}"#, "not a JSON object"),
            (
                "400 Bad Request",
                r#"{"__type": "ResourceNotFoundException", "Message": "cannot find it"}"#,
                "cannot find it",
            ),
        ];
        for (status, body, expected) in answers {
            let (config, _served) = answer_once(status, body).await;
            let error = read(&config, reference("password"), "spec.credentials.password").await.unwrap_err();
            assert!(matches!(error, SecretError::Missing(_)));
            let message = error.to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.starts_with("spec.credentials.password: cannot read arn:aws:"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn the_region_comes_from_the_arn() {
        assert_eq!(
            region("arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"),
            Some("eu-west-1")
        );
        assert_eq!(region("arn:aws:secretsmanager"), None);
    }
}
