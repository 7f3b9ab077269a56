//! From where a request comes: the peer, or who a trusted proxy says it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use stalker_db::audit::{Actor, Kind};

use tracing::warn;

use crate::App;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// Their address.
    pub(crate) address: IpAddr,
}

impl Client {
    /// What is limited as one: of IPv6 the network, for whoever has one address there has 2^64.
    pub(crate) fn network(self) -> IpAddr {
        match self.address {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        }
    }

    /// As the layer found it.
    pub(crate) fn of(parts: &Parts) -> Self {
        Self::in_extensions(&parts.extensions)
    }

    pub(crate) fn in_extensions(extensions: &Extensions) -> Self {
        // without the layer nobody is known, which is no reason to fail
        extensions.get::<Self>().copied().unwrap_or(Self {
            address: Ipv4Addr::UNSPECIFIED.into(),
        })
    }

    /// Somebody who writes from there.
    pub(crate) fn actor(self, kind: Kind, id: Option<i64>, name: String) -> Actor {
        Actor {
            kind,
            id,
            name,
            address: self.address.to_string(),
            on_behalf_of: None,
        }
    }
}

/// Notes who a request comes from.
pub(crate) async fn note(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .copied()
    {
        let address = address(peer.ip(), request.headers(), &app.config.trusted_proxies);
        if address == peer.ip().to_canonical() && request.headers().contains_key(FORWARDED_FOR) {
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                warn!(
                    %address,
                    "a proxy says for whom it asks, and is not believed: all whom it asks for count as one. If it is yours, name it in api.trusted_proxies"
                );
            });
        }
        request.extensions_mut().insert(Client { address });
    }
    next.run(request).await
}

/// The last one in the chain of proxies that is not trusted to tell the truth about who came before.
fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer.to_canonical();
    let told = headers.get_all(FORWARDED_FOR).into_iter();
    let told: Vec<&str> = told
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for told in told.into_iter().rev() {
        if !is_trusted(&address) {
            break;
        }
        let Ok(told) = told.trim().parse::<IpAddr>() else {
            break;
        };
        address = told.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: [IpNet; 2] =
            ["10.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network"));
        for (peer, told, expected) in [
            ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
            ("10.1.1.1", "203.0.113.9", "203.0.113.9"),
            ("10.1.1.1", "", "10.1.1.1"),
            (
                "10.1.1.1",
                "198.51.100.7, 203.0.113.9, 10.2.2.2",
                "203.0.113.9",
            ),
            ("10.1.1.1", "203.0.113.9, nonsense", "10.1.1.1"),
            ("::ffff:10.1.1.1", "2001:db8::5", "2001:db8::5"),
            ("::1", "203.0.113.9", "203.0.113.9"),
        ] {
            let headers = HeaderMap::from_iter([(
                FORWARDED_FOR.parse().expect("a name"),
                HeaderValue::from_static(told),
            )]);
            let peer = peer.parse().expect("an address");
            assert_eq!(
                address(peer, &headers, &trusted).to_string(),
                expected,
                "{told}"
            );
        }
    }
}
