//! What machines may do in AWS: read and write their own workspace's buckets, and nothing else.
//!
//! The Python tool gives heads and workers the whole of S3, EC2 and IAM, since its head starts machines. Here the program
//! starts them, with the user's own permissions, so a machine needs none of that. The buckets are named by a pattern and
//! not one by one: a storage document may add `cloudtik-<workspace>-<region>-<name>` at any time, and adding one must not
//! change who the workspace's machines are.

/// Name of the inline policy.
pub(crate) const STORAGE: &str = "cloudtik-storage";

/// The name of a workspace's bucket: `default`, or that of a storage document. The Python tool's name.
pub(crate) fn bucket_name(workspace: &str, region: &str, storage: &str) -> String {
    format!("cloudtik-{workspace}-{region}-{storage}")
}

/// Objects of the workspace's own buckets, one statement a line so that a plan can be read.
pub(crate) fn storage(workspace: &str, region: &str) -> String {
    let buckets = format!("arn:{}:s3:::{}", partition(region), bucket_name(workspace, region, "*"));
    let bucket = r#"["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]"#;
    let object = r#"["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]"#;
    policy(&[
        format!(r#"{{"Sid": "Buckets", "Effect": "Allow", "Action": {bucket}, "Resource": "{buckets}"}}"#),
        format!(r#"{{"Sid": "Objects", "Effect": "Allow", "Action": {object}, "Resource": "{buckets}/*"}}"#),
    ])
}

/// Lets machines, and nobody else, take the role.
pub(crate) fn trust(region: &str) -> String {
    let service = if partition(region) == "aws-cn" { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" };
    policy(&[format!(r#"{{"Effect": "Allow", "Principal": {{"Service": "{service}"}}, "Action": "sts:AssumeRole"}}"#)])
}

fn policy(statements: &[String]) -> String {
    let lines: Vec<String> = statements.iter().map(|statement| format!("    {statement}")).collect();
    format!("{{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n{}\n  ]\n}}\n", lines.join(",\n"))
}

/// Source: AWS General Reference, "Amazon Resource Names (ARNs)" (read 2026-11-25).
fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    /// Whether the pattern, in which `*` stands for any characters, is the text.
    fn matches(pattern: &str, text: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == text,
            Some((head, rest)) => text
                .strip_prefix(head)
                .is_some_and(|text| (0..=text.len()).any(|at| text.get(at..).is_some_and(|tail| matches(rest, tail)))),
        }
    }

    /// Whether the storage policy of `demo` in us-west-2 allows `action` on `resource`.
    fn allows(action: &str, resource: &str) -> bool {
        let json: Json = serde_json::from_str(&storage("demo", "us-west-2")).unwrap();
        json["Statement"].as_array().unwrap().iter().any(|statement| {
            let actions = statement["Action"].as_array().unwrap();
            actions.contains(&action.into()) && matches(statement["Resource"].as_str().unwrap(), resource)
        })
    }

    #[test]
    fn machines_reach_their_own_workspaces_buckets_and_nothing_else() {
        let own = "arn:aws:s3:::cloudtik-demo-us-west-2-default";
        for action in ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"] {
            assert!(allows(action, &format!("{own}/a/b")), "{action}");
            assert!(allows(action, "arn:aws:s3:::cloudtik-demo-us-west-2-raw/a"), "{action}");
            for other in ["cloudtik-demo2-us-west-2-default/a", "cloudtik-demo-us-east-1-default/a", "other/a"] {
                assert!(!allows(action, &format!("arn:aws:s3:::{other}")), "{action} {other}");
            }
        }
        assert!(allows("s3:ListBucket", own));
        for action in
            ["s3:DeleteBucket", "s3:PutBucketPolicy", "s3:ListAllMyBuckets", "ec2:RunInstances", "iam:PassRole"]
        {
            assert!(!allows(action, own), "{action}");
        }
    }

    #[test]
    fn policies_are_json_in_every_partition() {
        for (region, arn, service) in [
            ("us-west-2", "arn:aws:s3", "ec2.amazonaws.com"),
            ("cn-north-1", "arn:aws-cn:s3", "ec2.amazonaws.com.cn"),
            ("us-gov-west-1", "arn:aws-us-gov:s3", "ec2.amazonaws.com"),
        ] {
            let json: Json = serde_json::from_str(&trust(region)).unwrap();
            assert_eq!(json["Statement"][0]["Principal"]["Service"], service);
            assert!(storage("w", region).contains(arn), "{region}");
        }
    }
}
