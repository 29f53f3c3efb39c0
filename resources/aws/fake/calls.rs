//! Which part of the world answers which call.

use super::world::{Answer, Turn};
use crate::api::Request;

/// Tags of a create, checked before anything else.
fn tags_of(request: &Request) -> Option<&crate::api::Tags> {
    use Request::*;
    match request {
        CreateVpc { tags, .. }
        | CreateSubnet { tags, .. }
        | CreateInternetGateway { tags }
        | CreateRouteTable { tags, .. }
        | AllocateAddress { tags }
        | CreateNatGateway { tags, .. }
        | CreateVpcEndpoint { tags, .. }
        | CreateSecurityGroup { tags, .. }
        | CreatePeering { tags, .. }
        | ImportKeyPair { tags, .. }
        | CreateVolume { tags, .. } => Some(tags),
        _ => None,
    }
}

impl Turn<'_> {
    pub fn call(&mut self, request: Request) -> Answer {
        use Request::*;
        if let Some(tags) = tags_of(&request) {
            super::tagging::check(tags)?;
        }
        match request {
            CreateVpc { cidr, tags } => self.create_vpc(&cidr, tags),
            ModifyVpc { vpc, dns_support, dns_hostnames } => self.modify_vpc(&vpc, dns_support, dns_hostnames),
            DeleteVpc { vpc } => self.delete_vpc(&vpc),
            CreateSubnet { vpc, cidr, zone, tags } => self.create_subnet(&vpc, &cidr, zone, tags),
            ModifySubnet { subnet, public } => self.modify_subnet(&subnet, public),
            DeleteSubnet { subnet } => self.delete_subnet(&subnet),
            CreateInternetGateway { tags } => self.create_internet_gateway(tags),
            AttachInternetGateway { gateway, vpc } => self.attach_internet_gateway(&gateway, &vpc),
            DetachInternetGateway { gateway, vpc } => self.detach_internet_gateway(&gateway, &vpc),
            DeleteInternetGateway { gateway } => self.delete_internet_gateway(&gateway),
            CreateRouteTable { vpc, tags } => self.create_route_table(&vpc, tags),
            AssociateRouteTable { table, subnet } => self.associate(&table, &subnet),
            DisassociateRouteTable { association } => self.disassociate(&association),
            DeleteRouteTable { table } => self.delete_route_table(&table),
            CreateRoute { table, destination, target } => self.create_route(&table, &destination, target),
            ReplaceRoute { table, destination, target } => self.replace_route(&table, &destination, target),
            DeleteRoute { table, destination } => self.delete_route(&table, &destination),
            AllocateAddress { tags } => self.allocate(tags),
            ReleaseAddress { allocation } => self.release(&allocation),
            CreateNatGateway { subnet, allocation, token, tags } => self.create_nat(&subnet, &allocation, &token, tags),
            DeleteNatGateway { gateway } => self.delete_nat(&gateway),
            CreateVpcEndpoint { vpc, service, tables, token, tags } => {
                self.create_endpoint(&vpc, &service, tables, &token, tags)
            }
            ModifyVpcEndpoint { endpoint, add, remove } => self.modify_endpoint(&endpoint, add, &remove),
            DeleteVpcEndpoint { endpoint } => self.delete_endpoint(&endpoint),
            CreateSecurityGroup { vpc, name, description, tags } => self.create_group(&vpc, &name, &description, tags),
            AuthorizeIngress { group, rules } => self.authorize(&group, &rules),
            RevokeIngress { group, rules } => self.revoke(&group, &rules),
            DeleteSecurityGroup { group } => self.delete_group(&group),
            CreatePeering { vpc, peer, tags } => self.create_peering(&vpc, &peer, tags),
            AcceptPeering { peering } => self.accept_peering(&peering),
            DeletePeering { peering } => self.delete_peering(&peering),
            ImportKeyPair { name, public, tags } => self.import_key(&name, &public, tags),
            DeleteKeyPair { name } => self.delete_key(&name),
            CreateTags { ids, tags } => self.create_tags(&ids, &tags),
            DeleteTags { ids, keys } => self.delete_tags(&ids, &keys),
            RunInstances { config, least, count, token } => self.run(&config, least, count, &token),
            TerminateInstances { ids } => self.terminate(&ids),
            StopInstances { ids } => self.stop(&ids),
            StartInstances { ids } => self.start(&ids),
            ModifyInstanceGroups { instance, groups } => self.modify_groups(&instance, groups),
            ModifyInstanceType { instance, kind } => self.modify_type(&instance, &kind),
            ModifyVolume { volume, size, kind, iops, throughput } => {
                self.modify_volume(&volume, size, kind.as_deref(), iops, throughput)
            }
            CreateVolume { zone, size, kind, iops, throughput, token, tags } => {
                self.create_volume(&zone, size, kind.as_deref(), iops, throughput, &token, tags)
            }
            AttachVolume { volume, instance, device } => self.attach_volume(&volume, &instance, &device),
            DetachVolume { volume } => self.detach_volume(&volume),
            DeleteVolume { volume } => self.delete_volume(&volume),
            GetConsoleOutput { instance } => self.console(&instance),
            CreateRole { name, trust, description, tags } => self.create_role(&name, &trust, &description, tags),
            UpdateRoleTrust { name, trust } => self.update_trust(&name, &trust),
            PutRolePolicy { role, name, policy } => self.put_policy(&role, &name, &policy),
            DeleteRolePolicy { role, name } => self.delete_policy(&role, &name),
            AttachRolePolicy { role, policy } => self.attach_policy(&role, &policy),
            DetachRolePolicy { role, policy } => self.detach_policy(&role, &policy),
            TagRole { name, tags } => self.tag_role(&name, tags),
            DeleteRole { name } => self.delete_role(&name),
            CreateInstanceProfile { name, tags } => self.create_profile(&name, tags),
            AddRoleToProfile { profile, role } => self.add_role(&profile, &role),
            RemoveRoleFromProfile { profile, role } => self.remove_role(&profile, &role),
            TagInstanceProfile { name, tags } => self.tag_profile(&name, tags),
            DeleteInstanceProfile { name } => self.delete_profile(&name),
            CreateBucket { name } => self.create_bucket(&name),
            EncryptBucket { name } => self.encrypt_bucket(&name),
            BlockPublicAccess { name } => self.block_bucket(&name),
            TagBucket { name, tags } => self.tag_bucket(&name, tags),
            DeleteObjects { bucket, objects } => self.delete_objects(&bucket, &objects),
            AbortUpload { bucket, key, upload } => self.abort_upload(&bucket, &key, &upload),
            DeleteBucket { name } => self.delete_bucket(&name),
            CreateDbSubnetGroup { name, description, subnets, tags } => {
                self.create_subnet_group(&name, &description, subnets, tags)
            }
            ModifyDbSubnetGroup { name, subnets } => self.modify_subnet_group(&name, subnets),
            DeleteDbSubnetGroup { name } => self.delete_subnet_group(&name),
            CreateDatabase { name, spec, password, tags } => self.create_database(&name, spec, password.as_ref(), tags),
            ModifyDatabase { name, spec } => self.modify_database(&name, spec),
            DeleteDatabase { name } => self.delete_database(&name),
            TagDatabase { arn, tags } => self.tag_database(&arn, tags),
        }
    }
}
