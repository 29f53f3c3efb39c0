//! Names that documents may use whether or not this binary can act on them.
//!
//! Source: `cloudtik` 1.6 (its provider and runtime packages, and the name limits of its provider modules), 2024-03.

/// Every provider of the Python CloudTik.
pub(crate) const PROVIDERS: &[&str] =
    &["aliyun", "aws", "azure", "external", "gcp", "huaweicloud", "kubernetes", "local", "onpremise", "virtual"];

/// Every runtime of the Python CloudTik, with the names that earlier versions gave them.
#[rustfmt::skip]
pub(crate) const RUNTIMES: &[&str] = &[
    "ai", "apisix", "bind", "consul", "coredns", "dnsmasq", "elasticsearch", "etcd", "flink", "ganglia", "grafana",
    "hadoop", "haproxy", "hdfs", "kafka", "kong", "loadbalancer", "metastore", "minio", "ml", "mongodb", "mount",
    "mysql", "nginx", "node_exporter", "nodex", "pgbouncer", "pgpool", "postgres", "presto", "prometheus", "ray",
    "redis", "spark", "sshserver", "trino", "xinetd", "yarn", "zookeeper",
];

/// How long a workspace's name may be; clouds derive their own limited names from it.
pub(crate) fn workspace_limit(provider: &str) -> usize {
    match provider {
        "aws" => 31,
        "azure" => 55,
        "gcp" => 19,
        "aliyun" => 24,
        "huaweicloud" => 32,
        "virtual" => 96,
        _ => LABEL,
    }
}

/// One label of a host name (RFC 1035 §2.3.4): cluster names become parts of host names.
pub(crate) const LABEL: usize = 63;
