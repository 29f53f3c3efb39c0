//! RunInstances with whatever the service's own shape has: the query is written from the table behind [`crate::query`].

use super::{Sdk, ec2_items::instance, malformed};
use crate::{
    api::{ApiError, Item},
    query,
    repeat::Nature,
};
use aws_smithy_types::body::SdkBody;
use serde_json::Value as Json;
use std::io;

const ACTION: &str = "RunInstances";

impl Sdk {
    /// The instances in launch order.
    pub(super) async fn run_instances(
        &self,
        config: &Json,
        least: usize,
        count: usize,
        token: &str,
    ) -> Result<Vec<Item>, ApiError> {
        let number = |n: usize| i32::try_from(n).map_err(|_| malformed(ACTION, format!("{n} is too many")));
        let (least, most) = (number(least)?, number(count)?);
        let more = parameters(config).map_err(|e| malformed(ACTION, e))?;
        let ask = || async {
            let call = self.ec2.run_instances().min_count(least).max_count(most).client_token(token).customize();
            let more = more.clone();
            // Before signing, so the signature covers it.
            call.map_request(move |mut request| {
                let body =
                    request.body().bytes().ok_or_else(|| io::Error::other("the request has no body in memory"))?;
                let body = [body, more.as_bytes()].concat();
                request.headers_mut().insert("content-length", body.len().to_string());
                *request.body_mut() = SdkBody::from(body);
                Ok::<_, io::Error>(request)
            })
            .send()
            .await
        };
        let answer = self.ask(ACTION, Nature::Change(count), ask).await?;
        let mut instances: Vec<_> = answer.instances().iter().collect();
        instances.sort_by_key(|i| i.ami_launch_index());
        Ok(instances.into_iter().map(instance).collect())
    }
}

/// `&Name=value` of everything in `config`.
fn parameters(config: &Json) -> Result<String, String> {
    let mut text = String::new();
    for (name, value) in query::parameters(config)? {
        text.push('&');
        text.push_str(&name);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_escaped() {
        let config = json!({"KeyName": "a b&c=é", "UserData": "IyEvYmluL3NoCg=="});
        assert_eq!(parameters(&config).unwrap(), "&KeyName=a%20b%26c%3D%C3%A9&UserData=IyEvYmluL3NoCg%3D%3D");
    }
}
