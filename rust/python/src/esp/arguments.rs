//! What callers write, read once: addresses, modes, selectors. Everything wrong is a `ValueError` that says what is expected.

use std::net::IpAddr;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use ironswan_dataplane::flow::Flow;
use ironswan_dataplane::selector::{End, Selector};
use ironswan_esp::encapsulation::{Accept, Counters, DontFragment, Framing, Mode, Status, TunnelHeader};
use ironswan_esp::{ReplayWindow, Suite};

use super::number::Dscp;

pub(super) fn refused(message: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(message.to_string())
}

pub(super) fn suite(keyword: &str) -> PyResult<Suite> {
    Suite::from_keyword(keyword).ok_or_else(|| {
        let hint = match (ironswan_esp::Encr::from_keyword(keyword), keyword.contains('-')) {
            (Some(_), false) => format!("{keyword} does not authenticate: name an integrity algorithm too, like {keyword}-sha256"),
            _ => format!("there is no suite {keyword:?}: ironswan.esp.suites() lists what there is, like aes128gcm16 or aes128-sha256"),
        };
        refused(hint)
    })
}

pub(super) fn mode(text: &str) -> PyResult<Mode> {
    match text {
        "tunnel" => Ok(Mode::Tunnel),
        "transport" => Ok(Mode::Transport),
        _ => Err(refused(format!(r#"mode is "tunnel" or "transport", not {text:?}"#))),
    }
}

pub(super) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Tunnel => "tunnel",
        Mode::Transport => "transport",
    }
}

pub(super) fn framing(text: &str) -> PyResult<Framing> {
    match text {
        "esp" => Ok(Framing::Esp),
        "udp" => Ok(Framing::Udp),
        "ip" => Ok(Framing::Ip),
        _ => Err(refused(format!(r#"framing is "esp", "udp" or "ip", not {text:?}"#))),
    }
}

pub(super) fn address_pair((source, destination): &(String, String), what: &str) -> PyResult<(IpAddr, IpAddr)> {
    let parse = |text: &String| {
        text.parse::<IpAddr>().map_err(|_| refused(format!("{what}: {text:?} is not an IPv4 or IPv6 address")))
    };
    let (source, destination) = (parse(source)?, parse(destination)?);
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(refused(format!("{what}: {source} and {destination} are of two address families")));
    }
    Ok((source, destination))
}

/// The outer header in tunnel mode.
pub(super) fn tunnel_header(
    mode: Mode,
    tunnel: Option<&(String, String)>,
    dscp: Option<Dscp>,
    ecn: bool,
    df: &str,
    hop_limit: u64,
) -> PyResult<Option<TunnelHeader>> {
    let dont_fragment = match df {
        "copy" => DontFragment::Copy,
        "set" => DontFragment::Set,
        "clear" => DontFragment::Clear,
        _ => return Err(refused(format!(r#"df is "copy", "set" or "clear", not {df:?}"#))),
    };
    let Some(tunnel) = tunnel else { return Ok(None) };
    if mode == Mode::Transport {
        return Err(refused("tunnel has the outer addresses of tunnel mode; in transport mode a packet keeps its own"));
    }
    let (source, destination) = address_pair(tunnel, "tunnel")?;
    Ok(TunnelHeader::new(source, destination).map(|mut header| {
        (header.dscp, header.ecn, header.dont_fragment, header.hop_limit) =
            (dscp.map(|dscp| dscp.0 as u8), ecn, dont_fragment, hop_limit as u8);
        header
    }))
}

/// Pairs of source and destination selectors as a function of a packet. Each is a text as swanctl takes it, or a
/// `TrafficSelector`.
pub(super) fn selectors(pairs: Option<Vec<(Bound<'_, PyAny>, Bound<'_, PyAny>)>>) -> PyResult<Option<Accept>> {
    let Some(pairs) = pairs else { return Ok(None) };
    let pairs: Vec<_> = pairs.iter().map(|(a, b)| Ok((selector(a)?, selector(b)?))).collect::<PyResult<_>>()?;
    Ok(Some(Box::new(move |packet| {
        Flow::read(packet).is_some_and(|flow| {
            pairs.iter().any(|(source, destination)| {
                source.matches(&flow, End::Source) && destination.matches(&flow, End::Destination)
            })
        })
    })))
}

fn selector(object: &Bound<'_, PyAny>) -> PyResult<Selector> {
    let parsed = if object.is_instance_of::<PyString>() {
        object.py().import("ironswan.policy.selectors")?.getattr("parse_selector")?.call1((object,))?
    } else {
        object.clone()
    };
    let start = parsed.getattr("start").map_err(|_| {
        PyTypeError::new_err(
            "a selector is a text like 10.1.0.0/16[tcp/80] or an ironswan.policy.selectors.TrafficSelector",
        )
    })?;
    if start.is_none() {
        return Err(refused("a selector of an SA has addresses: dynamic is for configurations"));
    }
    let address = |object: Bound<'_, PyAny>| -> PyResult<IpAddr> {
        let text = object.str()?.to_string();
        text.parse().map_err(|_| refused(format!("{text:?} is not an address")))
    };
    let port = |name: &str| parsed.getattr(name)?.extract::<u16>();
    let (start, end) = (address(start)?, address(parsed.getattr("end")?)?);
    let protocol = parsed.getattr("protocol")?.extract()?;
    Selector::new(protocol, start, end, port("start_port")?, port("end_port")?)
        .ok_or_else(|| refused("a selector's range begins with its lower end"))
}

/// The window as a number: bit i says whether the highest number less i was seen.
pub(super) fn window_bits(py: Python<'_>, window: &ReplayWindow) -> PyResult<Py<PyAny>> {
    Ok(py.get_type::<PyInt>().call_method1("from_bytes", (window.bits().as_slice(), "little"))?.unbind())
}

/// Counters by name.
pub(super) fn counters(counters: &Counters) -> Vec<(&'static str, u64)> {
    let mut all = vec![
        ("packets", counters.packets(Status::Ok)),
        ("octets", counters.octets()),
        ("ecn_anomalies", counters.ecn_anomalies()),
    ];
    all.extend(Status::ALL[1..].iter().map(|status| (status.as_str(), counters.packets(*status))));
    all
}
