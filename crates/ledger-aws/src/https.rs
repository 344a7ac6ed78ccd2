//! The HTTPS clients: the SDK's own, on `ring` rather than `aws-lc`, which takes a newcomer's first build three times as
//! long. Functions trust Amazon's roots alone.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

/// The five roots that Amazon's services chain to, as <https://www.amazontrust.com/repository/> recommends them for
/// trust stores of one's own. The first expires in 2037.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// Named by whoever has endpoints with other roots: a proxy that reads along, or a partition with its own authority.
const OWN_ROOTS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// A client that trusts the roots of the operating system, or those that the environment names.
pub(crate) fn system_client() -> SharedHttpClient {
    client(TlsContext::default())
}

/// Whether the environment names the roots to trust.
#[expect(clippy::disallowed_methods, reason = "a path need not be text")]
pub(crate) fn has_own_roots() -> bool {
    OWN_ROOTS.iter().any(|name| std::env::var_os(name).is_some())
}

/// A client that trusts Amazon's roots and no others.
pub(crate) fn amazon_client() -> SharedHttpClient {
    let roots = TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    client(TlsContext::builder().with_trust_store(roots).build().expect("nothing in it can be at fault"))
}

fn client(context: TlsContext) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(TLS)
            .tls_context(context.clone())
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    })
}
