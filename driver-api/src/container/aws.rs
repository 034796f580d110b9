//! Values from AWS Secrets Manager.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::error::DisplayErrorContext;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::api::AwsSecretKeyRef;
use crate::error::{DriverError, ErrorKind, Result};
use crate::secret::Secret;

/// How long one request may take, its retries not counted.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The value of one key of a JSON secret.
///
/// Credentials come from the standard variables or by web identity, never from the node: what a node may
/// read, its tenants may not. `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_SECRETS_MANAGER` are honored.
pub(super) async fn secret(reference: &AwsSecretKeyRef, field: &str) -> Result<Secret> {
    let fails = |why: String| {
        DriverError::new(
            ErrorKind::CredentialsMissing,
            format!("{field}: cannot read {}: {why}", reference.arn),
        )
    };
    let region = region(&reference.arn).ok_or_else(|| {
        DriverError::new(
            ErrorKind::Invalid,
            format!("{field}: {:?} is not an ARN with a region", reference.arn),
        )
    })?;
    let region = Region::new(region.to_owned());
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let provider =
        ProviderConfig::without_region().with_region(Some(region.clone())).with_http_client(http.clone());
    let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(&provider).build();
    let credentials =
        CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("web identity", web_identity);
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http)
        .credentials_provider(credentials)
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
        .load()
        .await;
    let answer = aws_sdk_secretsmanager::Client::new(&config)
        .get_secret_value()
        .secret_id(&reference.arn)
        .send()
        .await;
    let answer = answer.map_err(|error| fails(DisplayErrorContext(error).to_string()))?;
    let text = Secret::new(answer.secret_string().unwrap_or_default());
    // The parser's own message could quote the text.
    let json: serde_json::Value = serde_json::from_str(text.expose())
        .map_err(|_| fails("its value is not a JSON object".to_owned()))?;
    let value = json.get(&reference.key).and_then(serde_json::Value::as_str);
    value.map(Secret::new).ok_or_else(|| fails(format!("it has no key {:?} with a text", reference.key)))
}

/// The fourth field of an ARN.
fn region(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_arn() {
        assert_eq!(
            region("arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"),
            Some("eu-west-1")
        );
        assert_eq!(region("arn:aws:secretsmanager"), None);
    }
}
