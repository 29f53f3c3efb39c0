//! Asks a service, from inside a node, whether it works.

use cloudtik_core::host::Host;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// A service that takes longer to answer does not work.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 4 << 20;

/// Tells whether a service works. Its texts are templates in a manifest, plain in a resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    Tcp(TcpProbe),
    Http(HttpProbe),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpProbe {
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    pub host: String,
    pub port: u16,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonCondition>,
    /// What is awaited, for progress: `the master to list this worker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<String>,
}

/// A condition on a JSON answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonCondition {
    /// JSON pointer.
    pub at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// The pointer leads to a list, and an item of it has all of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub has: BTreeMap<String, String>,
}

impl Probe {
    /// What a wait for this probe waits for: `the Spark master to answer`.
    pub fn awaits(&self) -> String {
        match self {
            Probe::Http(HttpProbe { awaits: Some(awaits), .. }) => awaits.clone(),
            Probe::Http(http) => format!("http://{}:{}{} to answer", http.host, http.port, http.path),
            Probe::Tcp(tcp) => format!("{}:{} to listen", tcp.host, tcp.port),
        }
    }

    /// Asks once. Errors: why the answer does not do, as a fragment.
    pub async fn ask(&self, host: &dyn Host) -> Result<(), String> {
        let answer = async {
            match self {
                Probe::Tcp(tcp) => host.connect(&tcp.host, tcp.port).await.map(drop).map_err(|e| e.message),
                Probe::Http(http) => ask_http(host, http).await,
            }
        };
        tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }
}

async fn ask_http(host: &dyn Host, probe: &HttpProbe) -> Result<(), String> {
    let place = format!("{}:{}", probe.host, probe.port);
    let stream = host.connect(&probe.host, probe.port).await.map_err(|e| e.message)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let request = Request::get(&probe.path)
        .header(header::HOST, &place)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| format!("{place}: {e}"))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|e| format!("{place}: {e}"))?.to_bytes();
        judge(probe, status, &body)
    };
    tokio::pin!(connection, exchange);
    // The connection's task only moves bytes; what it ends with shows in the exchange.
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}

fn judge(probe: &HttpProbe, status: u16, body: &[u8]) -> Result<(), String> {
    let expected = probe.status.unwrap_or(200);
    if status != expected {
        return Err(format!("{}:{}{} answers {status}, not {expected}", probe.host, probe.port, probe.path));
    }
    match &probe.json {
        None => Ok(()),
        Some(condition) => {
            let body: Json = serde_json::from_slice(body).map_err(|e| format!("the answer is no JSON: {e}"))?;
            holds(condition, &body)
        }
    }
}

fn holds(condition: &JsonCondition, body: &Json) -> Result<(), String> {
    let at = &condition.at;
    let found = body.pointer(at).ok_or_else(|| format!("the answer has no `{at}`"))?;
    if let Some(expected) = &condition.equals
        && text(found) != *expected
    {
        return Err(format!("`{at}` is {}, not {expected}", text(found)));
    }
    if let Some(least) = condition.at_least
        && found.as_i64().is_none_or(|n| n < least)
    {
        return Err(format!("`{at}` is {}, less than {least}", text(found)));
    }
    let has = |item: &Json| condition.has.iter().all(|(key, value)| item.get(key).is_some_and(|v| text(v) == *value));
    if condition.has.is_empty() || found.as_array().is_some_and(|items| items.iter().any(has)) {
        return Ok(());
    }
    let wanted: Vec<String> = condition.has.iter().map(|(k, v)| format!("{k} {v}")).collect();
    Err(format!("`{at}` has no item with {}", wanted.join(" and ")))
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn condition(json: Json) -> JsonCondition {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_condition_says_why_an_answer_does_not_do() {
        let body = json!({"status": "ALIVE", "aliveworkers": 2, "workers": [
            {"host": "w0", "state": "DEAD"}, {"host": "w0", "state": "ALIVE"}, {"host": "w1", "state": "DEAD"}]});
        for (good, what) in [
            (true, json!({"at": "/status", "equals": "ALIVE"})),
            (true, json!({"at": "/aliveworkers", "at_least": 2})),
            (true, json!({"at": "/workers", "has": {"host": "w0", "state": "ALIVE"}})),
            (false, json!({"at": "/status", "equals": "STANDBY"})),
            (false, json!({"at": "/aliveworkers", "at_least": 3})),
            (false, json!({"at": "/workers", "has": {"host": "w1", "state": "ALIVE"}})),
            (false, json!({"at": "/nothing"})),
        ] {
            assert_eq!(holds(&condition(what.clone()), &body).is_ok(), good, "{what}");
        }
    }
}
