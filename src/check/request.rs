//! Sends the requests that verify one value, and turns a missing answer into a verdict.

use std::collections::HashMap;
use std::time::Instant;

use tokio::time::timeout_at;
use zeroize::Zeroizing;

use super::Run;
use crate::provider::heroku_expiry::{self, Expiry};
use crate::provider::http::{Client, Fault, ProxyFault, Request};
use crate::provider::{Ask, Auth, Finding, Provider, Sent, Step};
use crate::report::{Cause, Kind, Verdict};
use crate::secret::{Secret, joined};

/// What a vault request contains besides the credential: a login's body, and the headers for Cloudflare Access.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) body: Option<Zeroizing<String>>,
    pub(super) headers: Vec<(String, Zeroizing<String>)>,
    /// The client id in the body, which must not be shown either.
    pub(super) id: Option<Secret>,
}

impl Run<'_> {
    /// Sends the first request, and further probes if the answer is inconclusive.
    pub(super) async fn ask(
        &self,
        provider: &Provider,
        first: Ask,
        secret: &Secret,
        account: Option<&str>,
        extra: &Extra,
    ) -> Finding {
        let client = match self.client.get_or_init(Client::new) {
            Ok(client) => client,
            Err(fault) => return self.no_answer(provider, fault.clone()),
        };
        let mut asked = Vec::new();
        let mut previous: Option<Finding> = None;
        let mut ask = first;
        loop {
            let answer = match client.send(&request(&ask, secret, extra)).await {
                Ok(answer) => answer,
                Err(fault) => return self.no_answer(provider, fault),
            };
            asked.push(ask.probe.clone());
            let headers = extra.headers.iter().map(|(_, value)| value.as_str());
            let also = headers.chain(extra.id.as_ref().map(Secret::expose)).collect();
            let kind = previous.as_ref().map(|finding| finding.verdict.kind);
            let sent = Sent { value: secret.expose(), also, account_id: account, asked: &asked, previous: kind };
            match self.catalog.classify(provider, &answer, &sent) {
                Step::Done(mut finding) => {
                    finding.verdict.http_status = Some(answer.status);
                    return finding;
                }
                Step::KeepPrevious => return previous.expect("a probe follows another answer"),
                Step::Then(name, mut finding) => {
                    ask = provider.probe(&name, account).expect("the probe can be sent");
                    finding.verdict.http_status = Some(answer.status);
                    previous = Some(finding);
                }
            }
        }
    }

    /// Looks up the expiry in the list of the account's tokens, if the answer does not contain it and the configuration allows
    /// that request.
    pub(super) async fn look_up_expiry(
        &self,
        provider: &Provider,
        secret: &Secret,
        end: Instant,
        verdict: &mut Verdict,
    ) {
        let (Kind::Valid, None, Some(list)) = (verdict.kind, verdict.expires, provider.expiry_list()) else { return };
        let Some(Ok(client)) = self.client.get() else { return };
        // It ends before the deadline of the check, so that a slow list does not turn a valid token into an unreachable one.
        let end = end.checked_sub(self.config.timeout / 10).unwrap_or(end);
        let looking = heroku_expiry::look_up(client, request(&list, secret, &Extra::default()), secret.expose());
        match timeout_at(end.into(), looking).await.unwrap_or_else(|_| Err("the list of tokens timed out".into())) {
            Ok(Expiry::At(at)) => verdict.expires = Some(at),
            Ok(Expiry::Never) => verdict.words += ", does not expire",
            Err(why) => verdict.words += &format!(", expiry unknown ({why})"),
        }
    }

    pub(super) fn no_answer(&self, provider: &Provider, fault: Fault) -> Finding {
        let host = provider.host();
        let down = |why: &str| format!("no response (network/{} down?): {why}", provider.label);
        // Either the proxy or the provider did not answer, so the words name both.
        let proxy = self.client.get().and_then(|client| client.as_ref().ok()?.proxy_for(provider.base()));
        let through = proxy.map_or(String::new(), |proxy| format!(" (through the proxy {proxy})"));
        let timed_out = || format!("timed out after {:?}{through}", self.config.timeout);
        let silent = |host: &str, why: String| Some(Cause::NoResponse { host: host.into(), why });
        let (kind, words, cause) = match &fault {
            Fault::NotSent(why) => {
                (Kind::Unreachable, format!("not checked: {why}"), Some(Cause::NotAsked { why: why.clone() }))
            }
            Fault::Proxy { host: proxy, fault: ProxyFault::NoAnswer(why) } => {
                (Kind::Unreachable, down(&fault.to_string()), silent(&format!("the proxy {proxy}"), why.clone()))
            }
            Fault::Proxy { .. } => {
                let words = format!("{fault}; the request did not reach {host}");
                (Kind::Blocked, words, Some(Cause::NotAsked { why: fault.to_string() }))
            }
            Fault::TimedOut => (Kind::Unreachable, down(&timed_out()), silent(&host, timed_out())),
            Fault::Dns => {
                let words = down(&format!("could not resolve {host}"));
                (Kind::Unreachable, words, silent(&host, "could not resolve the name".into()))
            }
            Fault::Refused | Fault::Other(_) => {
                (Kind::Unreachable, down(&fault.to_string()), silent(&host, fault.to_string()))
            }
            Fault::Tls(_) | Fault::ConnectionLost => (Kind::Unreachable, down(&fault.to_string()), None),
        };
        Verdict { cause, ..Verdict::new(kind, words) }.into()
    }
}

fn request(ask: &Ask, secret: &Secret, extra: &Extra) -> Request {
    let mut headers: HashMap<String, Zeroizing<String>> =
        ask.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), Zeroizing::new(v.clone()))).collect();
    if let Auth::Header { name, prefix } = &ask.auth {
        headers.insert(name.clone(), joined(&[prefix, secret.expose()]));
    }
    headers.extend(extra.headers.iter().cloned());
    Request { post: ask.post, url: ask.url.clone(), headers: headers.into_iter().collect(), body: extra.body.clone() }
}
