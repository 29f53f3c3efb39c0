//! The narrow trait of calls that this provider makes: everything it wants of AWS, in its own words.
//!
//! [`Api::list`] reads, always whole lists; [`Api::call`] changes one thing. `sdk` speaks them over the vendor's SDK,
//! `fake` keeps a world in memory. Field names of [`Item`] are those of the service's own answers in snake case, so each
//! can be looked up in the API reference; [`Listing`] says which ones there are.

use async_trait::async_trait;
use cloudtik_core::value::Attrs;
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

pub type Tags = BTreeMap<String, String>;

/// One object as the service describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// What the service calls it: `vpc-0a1…`, an ARN for peers of IAM, a name for buckets, keys and roles.
    pub id: String,
    pub tags: Tags,
    /// Unset fields are missing.
    pub fields: Attrs,
}

impl Item {
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(|v| v.as_text()).unwrap_or_default()
    }

    pub fn flag(&self, field: &str) -> bool {
        self.fields.get(field).and_then(|v| v.as_bool()).unwrap_or_default()
    }
}

/// What can be listed. Every listing is complete: pages are followed to the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Listing {
    /// `cidr`, `state`, `is_default`, `dns_support`, `dns_hostnames` (both read for at most one VPC: filtered by id).
    Vpcs,
    /// `vpc`, `cidr`, `zone`, `state`, `public` (map public address on launch).
    Subnets,
    /// `vpc` (of the attachment), `state`.
    InternetGateways,
    /// `vpc`, `main`, `associations` [{`id`, `subnet`}], `routes` [{`destination`, `gateway`|`nat`|`peering`|`prefix_list`,
    /// `state`}].
    RouteTables,
    /// `ip`, `association`, `instance`, `interface`.
    Addresses,
    /// `vpc`, `subnet`, `state`, `allocation`, `ip`, `failure`. Deleted ones are left out.
    NatGateways,
    /// `vpc`, `service`, `state`, `tables` [id]. Deleted ones are left out.
    VpcEndpoints,
    /// `vpc`, `name`, `description`, `ingress` [rule text, see [`crate::rules`]].
    SecurityGroups,
    /// `state`, `requester`, `accepter` (VPC ids), `accepter_cidr`, `requester_cidr`. Deleted, failed, expired and
    /// rejected ones are left out.
    Peerings,
    /// `name`, `fingerprint`, `public` (the public key).
    KeyPairs,
    /// `name`, `created`, `state`, `architecture`, `root_device`. `owners`: account ids or aliases.
    Images { owners: Vec<String> },
    /// Zones of the region that are open to the account; id is the zone's name. `state`.
    Zones,
    /// `type`, `image`, `state`, `vpc`, `subnet`, `zone`, `private_ip`, `public_ip`, `key`, `profile` (name), `groups` [id],
    /// `token` (client token), `launch_index`, `launched` (RFC 3339), `spot` (bool), `state_reason`,
    /// `volumes` [{`device`, `volume`}].
    Instances,
    /// `state`, `size` (GiB), `type`, `iops`, `throughput`, `zone`, `instance`, `device`, `modification` (state of the last).
    Volumes,
    /// `name`, `latest`, `default` (versions), `data` (the data of the default version, in the form of RunInstances).
    LaunchTemplates,
    /// `cpus`, `memory_mib`, `gpus`, `gpu_name`, `architectures`. Id is the type's name.
    InstanceTypes,
    /// One role, by [`Filter::name`] `name`: `arn`, `trust` (JSON text), `description`, `policies` {name: JSON text},
    /// `attached` [ARN].
    Roles,
    /// One profile, by `name`, or those that hold a role, by `role`: `name`, `arn`, `roles` [name].
    InstanceProfiles,
    /// One bucket, by `name`: `region`, `encrypted` (bool), `public_access_blocked` (bool), `versioned` (bool). One that
    /// belongs to another account is an error of status 403, not an empty list.
    Buckets,
    /// Versions and delete markers of a bucket: `key`, `version`.
    ObjectVersions { bucket: String },
    /// Unfinished uploads of a bucket: `key`, `upload`.
    Uploads { bucket: String },
    /// One, by `name`: `subnets` [id], `arn`.
    DbSubnetGroups,
    /// All, or one by `name`: `engine`, `type`, `storage_type`, `storage_gib`, `user`, `port`, `address`, `status`, `multi_az`,
    /// `subnet_group`, `groups` [id], `secret` (ARN of the managed password), `arn`.
    Databases,
    /// The account that calls; id is the account's number. `arn`.
    Caller,
}

/// `name` and any of `values`, in the words of the service (`vpc-id`, `tag:Name`, `instance-state-name`, `client-token`).
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub name: String,
    pub values: Vec<String>,
}

impl Filter {
    pub fn new<S: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = S>) -> Self {
        Filter { name: name.into(), values: values.into_iter().map(Into::into).collect() }
    }

    pub fn is(name: impl Into<String>, value: impl Into<String>) -> Self {
        Filter { name: name.into(), values: vec![value.into()] }
    }

    pub fn tag(key: &str, value: impl Into<String>) -> Self {
        Filter::is(format!("tag:{key}"), value)
    }
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Gateway(String),
    Nat(String),
    Peering(String),
}

/// One change. What it answers stands behind it; where nothing does, the item is empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The VPC.
    CreateVpc {
        cidr: String,
        tags: Tags,
    },
    /// Exactly one of the two can be changed by one call of the service.
    ModifyVpc {
        vpc: String,
        dns_support: Option<bool>,
        dns_hostnames: Option<bool>,
    },
    DeleteVpc {
        vpc: String,
    },
    /// The subnet.
    CreateSubnet {
        vpc: String,
        cidr: String,
        zone: Option<String>,
        tags: Tags,
    },
    ModifySubnet {
        subnet: String,
        public: bool,
    },
    DeleteSubnet {
        subnet: String,
    },
    /// The gateway.
    CreateInternetGateway {
        tags: Tags,
    },
    AttachInternetGateway {
        gateway: String,
        vpc: String,
    },
    DetachInternetGateway {
        gateway: String,
        vpc: String,
    },
    DeleteInternetGateway {
        gateway: String,
    },
    /// The table.
    CreateRouteTable {
        vpc: String,
        tags: Tags,
    },
    /// `id`: the association.
    AssociateRouteTable {
        table: String,
        subnet: String,
    },
    DisassociateRouteTable {
        association: String,
    },
    DeleteRouteTable {
        table: String,
    },
    CreateRoute {
        table: String,
        destination: String,
        target: Target,
    },
    ReplaceRoute {
        table: String,
        destination: String,
        target: Target,
    },
    DeleteRoute {
        table: String,
        destination: String,
    },
    /// The address: `ip`.
    AllocateAddress {
        tags: Tags,
    },
    ReleaseAddress {
        allocation: String,
    },
    /// The gateway.
    CreateNatGateway {
        subnet: String,
        allocation: String,
        token: String,
        tags: Tags,
    },
    DeleteNatGateway {
        gateway: String,
    },
    /// The endpoint, of type gateway.
    CreateVpcEndpoint {
        vpc: String,
        service: String,
        tables: Vec<String>,
        token: String,
        tags: Tags,
    },
    ModifyVpcEndpoint {
        endpoint: String,
        add: Vec<String>,
        remove: Vec<String>,
    },
    DeleteVpcEndpoint {
        endpoint: String,
    },
    /// `id`: the group.
    CreateSecurityGroup {
        vpc: String,
        name: String,
        description: String,
        tags: Tags,
    },
    /// Rules as text, see [`crate::rules`].
    AuthorizeIngress {
        group: String,
        rules: Vec<String>,
    },
    RevokeIngress {
        group: String,
        rules: Vec<String>,
    },
    DeleteSecurityGroup {
        group: String,
    },
    /// The peering.
    CreatePeering {
        vpc: String,
        peer: String,
        tags: Tags,
    },
    AcceptPeering {
        peering: String,
    },
    DeletePeering {
        peering: String,
    },
    /// The key pair.
    ImportKeyPair {
        name: String,
        public: String,
        tags: Tags,
    },
    DeleteKeyPair {
        name: String,
    },
    CreateTags {
        ids: Vec<String>,
        tags: Tags,
    },
    DeleteTags {
        ids: Vec<String>,
        keys: Vec<String>,
    },
    /// `config` in the service's own form (`ImageId`, `BlockDeviceMappings`, … and `UserData` in base64), checked against its
    /// schema. `items` of the answer: the instances, as in [`Listing::Instances`], in launch order; at least `least`.
    RunInstances {
        config: Json,
        least: usize,
        count: usize,
        token: String,
    },
    TerminateInstances {
        ids: Vec<String>,
    },
    StopInstances {
        ids: Vec<String>,
    },
    StartInstances {
        ids: Vec<String>,
    },
    /// The security groups of an instance's first interface.
    ModifyInstanceGroups {
        instance: String,
        groups: Vec<String>,
    },
    /// Of a stopped instance.
    ModifyInstanceType {
        instance: String,
        kind: String,
    },
    ModifyVolume {
        volume: String,
        size: Option<i64>,
        kind: Option<String>,
        iops: Option<i64>,
        throughput: Option<i64>,
    },
    /// The volume.
    CreateVolume {
        zone: String,
        size: i64,
        kind: Option<String>,
        iops: Option<i64>,
        throughput: Option<i64>,
        token: String,
        tags: Tags,
    },
    AttachVolume {
        volume: String,
        instance: String,
        device: String,
    },
    DetachVolume {
        volume: String,
    },
    DeleteVolume {
        volume: String,
    },
    /// `output`: the decoded text, missing while there is none.
    GetConsoleOutput {
        instance: String,
    },
    /// The role.
    CreateRole {
        name: String,
        trust: String,
        description: String,
        tags: Tags,
    },
    UpdateRoleTrust {
        name: String,
        trust: String,
    },
    PutRolePolicy {
        role: String,
        name: String,
        policy: String,
    },
    DeleteRolePolicy {
        role: String,
        name: String,
    },
    AttachRolePolicy {
        role: String,
        policy: String,
    },
    DetachRolePolicy {
        role: String,
        policy: String,
    },
    TagRole {
        name: String,
        tags: Tags,
    },
    DeleteRole {
        name: String,
    },
    /// The profile.
    CreateInstanceProfile {
        name: String,
        tags: Tags,
    },
    AddRoleToProfile {
        profile: String,
        role: String,
    },
    RemoveRoleFromProfile {
        profile: String,
        role: String,
    },
    TagInstanceProfile {
        name: String,
        tags: Tags,
    },
    DeleteInstanceProfile {
        name: String,
    },
    /// In the region of this client.
    CreateBucket {
        name: String,
    },
    /// Server-side encryption with keys of S3 (AES256).
    EncryptBucket {
        name: String,
    },
    BlockPublicAccess {
        name: String,
    },
    TagBucket {
        name: String,
        tags: Tags,
    },
    /// (key, version) pairs, at most 1,000.
    DeleteObjects {
        bucket: String,
        objects: Vec<(String, String)>,
    },
    AbortUpload {
        bucket: String,
        key: String,
        upload: String,
    },
    DeleteBucket {
        name: String,
    },
    /// The group.
    CreateDbSubnetGroup {
        name: String,
        description: String,
        subnets: Vec<String>,
        tags: Tags,
    },
    ModifyDbSubnetGroup {
        name: String,
        subnets: Vec<String>,
    },
    DeleteDbSubnetGroup {
        name: String,
    },
    /// The database. `password`: `None` lets RDS make and keep one in Secrets Manager.
    CreateDatabase {
        name: String,
        spec: Database,
        password: Option<Password>,
        tags: Tags,
    },
    ModifyDatabase {
        name: String,
        spec: Database,
    },
    DeleteDatabase {
        name: String,
    },
    /// Of a database or a subnet group.
    TagDatabase {
        arn: String,
        tags: Tags,
    },
}

impl Request {
    /// The service's own name of the call: what rate limits, error messages and call logs go by.
    pub fn action(&self) -> &'static str {
        use Request::*;
        match self {
            CreateVpc { .. } => "CreateVpc",
            ModifyVpc { .. } => "ModifyVpcAttribute",
            DeleteVpc { .. } => "DeleteVpc",
            CreateSubnet { .. } => "CreateSubnet",
            ModifySubnet { .. } => "ModifySubnetAttribute",
            DeleteSubnet { .. } => "DeleteSubnet",
            CreateInternetGateway { .. } => "CreateInternetGateway",
            AttachInternetGateway { .. } => "AttachInternetGateway",
            DetachInternetGateway { .. } => "DetachInternetGateway",
            DeleteInternetGateway { .. } => "DeleteInternetGateway",
            CreateRouteTable { .. } => "CreateRouteTable",
            AssociateRouteTable { .. } => "AssociateRouteTable",
            DisassociateRouteTable { .. } => "DisassociateRouteTable",
            DeleteRouteTable { .. } => "DeleteRouteTable",
            CreateRoute { .. } => "CreateRoute",
            ReplaceRoute { .. } => "ReplaceRoute",
            DeleteRoute { .. } => "DeleteRoute",
            AllocateAddress { .. } => "AllocateAddress",
            ReleaseAddress { .. } => "ReleaseAddress",
            CreateNatGateway { .. } => "CreateNatGateway",
            DeleteNatGateway { .. } => "DeleteNatGateway",
            CreateVpcEndpoint { .. } => "CreateVpcEndpoint",
            ModifyVpcEndpoint { .. } => "ModifyVpcEndpoint",
            DeleteVpcEndpoint { .. } => "DeleteVpcEndpoints",
            CreateSecurityGroup { .. } => "CreateSecurityGroup",
            AuthorizeIngress { .. } => "AuthorizeSecurityGroupIngress",
            RevokeIngress { .. } => "RevokeSecurityGroupIngress",
            DeleteSecurityGroup { .. } => "DeleteSecurityGroup",
            CreatePeering { .. } => "CreateVpcPeeringConnection",
            AcceptPeering { .. } => "AcceptVpcPeeringConnection",
            DeletePeering { .. } => "DeleteVpcPeeringConnection",
            ImportKeyPair { .. } => "ImportKeyPair",
            DeleteKeyPair { .. } => "DeleteKeyPair",
            CreateTags { .. } => "CreateTags",
            DeleteTags { .. } => "DeleteTags",
            RunInstances { .. } => "RunInstances",
            TerminateInstances { .. } => "TerminateInstances",
            StopInstances { .. } => "StopInstances",
            StartInstances { .. } => "StartInstances",
            ModifyInstanceGroups { .. } | ModifyInstanceType { .. } => "ModifyInstanceAttribute",
            ModifyVolume { .. } => "ModifyVolume",
            CreateVolume { .. } => "CreateVolume",
            AttachVolume { .. } => "AttachVolume",
            DetachVolume { .. } => "DetachVolume",
            DeleteVolume { .. } => "DeleteVolume",
            GetConsoleOutput { .. } => "GetConsoleOutput",
            CreateRole { .. } => "CreateRole",
            UpdateRoleTrust { .. } => "UpdateAssumeRolePolicy",
            PutRolePolicy { .. } => "PutRolePolicy",
            DeleteRolePolicy { .. } => "DeleteRolePolicy",
            AttachRolePolicy { .. } => "AttachRolePolicy",
            DetachRolePolicy { .. } => "DetachRolePolicy",
            TagRole { .. } => "TagRole",
            DeleteRole { .. } => "DeleteRole",
            CreateInstanceProfile { .. } => "CreateInstanceProfile",
            AddRoleToProfile { .. } => "AddRoleToInstanceProfile",
            RemoveRoleFromProfile { .. } => "RemoveRoleFromInstanceProfile",
            TagInstanceProfile { .. } => "TagInstanceProfile",
            DeleteInstanceProfile { .. } => "DeleteInstanceProfile",
            CreateBucket { .. } => "CreateBucket",
            EncryptBucket { .. } => "PutBucketEncryption",
            BlockPublicAccess { .. } => "PutPublicAccessBlock",
            TagBucket { .. } => "PutBucketTagging",
            DeleteObjects { .. } => "DeleteObjects",
            AbortUpload { .. } => "AbortMultipartUpload",
            DeleteBucket { .. } => "DeleteBucket",
            CreateDbSubnetGroup { .. } => "CreateDBSubnetGroup",
            ModifyDbSubnetGroup { .. } => "ModifyDBSubnetGroup",
            DeleteDbSubnetGroup { .. } => "DeleteDBSubnetGroup",
            CreateDatabase { .. } => "CreateDBInstance",
            ModifyDatabase { .. } => "ModifyDBInstance",
            DeleteDatabase { .. } => "DeleteDBInstance",
            TagDatabase { .. } => "AddTagsToResource",
        }
    }

    /// Whether the service makes nothing twice when the same request reaches it again, so that a lost answer can simply
    /// be asked for again.
    pub fn repeatable(&self) -> bool {
        use Request::*;
        match self {
            CreateVpc { .. }
            | CreateSubnet { .. }
            | CreateInternetGateway { .. }
            | CreateRouteTable { .. }
            | AllocateAddress { .. }
            | CreatePeering { .. } => false,
            // These fail the second time, with an error that tells that it is done already: the kinds know it.
            CreateSecurityGroup { .. }
            | ImportKeyPair { .. }
            | CreateRole { .. }
            | CreateInstanceProfile { .. }
            | CreateDbSubnetGroup { .. }
            | CreateDatabase { .. } => false,
            _ => true,
        }
    }
}

/// A managed database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// `mysql` or `postgres`.
    pub engine: String,
    pub kind: String,
    pub storage_type: String,
    pub storage_gib: i64,
    pub user: String,
    pub port: i64,
    pub multi_az: bool,
    pub subnet_group: String,
    pub groups: Vec<String>,
}

/// Never shown: its `Debug` form has no characters of it.
#[derive(Clone, PartialEq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// What the service or the way to it said.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The service's call: `CreateVpc`.
    pub action: String,
    pub cause: Cause,
    pub request_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The service answered with an error: its code (`InvalidVpcID.NotFound`), its words, the HTTP status.
    Service { code: String, message: String, status: u16 },
    /// No answer. `sent`: the request may have reached the service.
    Transport { message: String, sent: bool },
    /// There are no credentials, or they cannot be loaded.
    Credentials(String),
    /// The request cannot be built or the answer not be read: a defect, or a field that this version does not know.
    Malformed(String),
}

impl ApiError {
    /// The service's error code; empty when it did not answer.
    pub fn code(&self) -> &str {
        match &self.cause {
            Cause::Service { code, .. } => code,
            _ => "",
        }
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub item: Item,
    /// For RunInstances.
    pub items: Vec<Item>,
}

/// AWS, in one region, as one account.
///
/// Implementations pace calls by the service's rates and wait out throttling themselves; they repeat reads that got no
/// answer, and never a change: what became of it is for the caller to find out.
#[async_trait]
pub trait Api: Send + Sync {
    fn region(&self) -> &str;

    /// Everything that passes all filters, in the service's order.
    async fn list(&self, listing: &Listing, filters: &[Filter]) -> Result<Vec<Item>, ApiError>;

    async fn call(&self, request: Request) -> Result<Reply, ApiError>;

    /// Lets time pass: polls wait through this, so that tests need no real time.
    async fn pause(&self, time: Duration);

    /// The id of the instance that this program runs on, by the instance metadata service; `None` elsewhere.
    async fn here(&self) -> Result<Option<String>, ApiError>;
}
