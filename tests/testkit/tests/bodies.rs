//! Instances with bodies: a network lets through what moto has on record, and nothing else.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests, too

use cloudtik_testkit::lab::{Bodies, Host, Moto, Network, Settings, Strict};
use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

/// One public head and one private worker, step by step.
struct Scene {
    bodies: Bodies,
    strict: Strict,
    moto: Moto,
    folder: tempfile::TempDir,
}

const PRELUDE: &str = "
import boto3, sys
ec2 = boto3.client('ec2')
one = lambda things, key: [t for t in things if t['Tags'][0]['Value'] == key][0]
def tagged(kind, name): return [{'ResourceType': kind, 'Tags': [{'Key': 'Name', 'Value': name}]}]
def vpc(): return one([v for v in ec2.describe_vpcs()['Vpcs'] if v.get('Tags')], 'v')['VpcId']
def subnet(name): return one([s for s in ec2.describe_subnets()['Subnets'] if s.get('Tags')], name)['SubnetId']
def group(): return [g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] == 'g'][0]['GroupId']
def table(name, *routes):
    t = ec2.create_route_table(VpcId=vpc())['RouteTable']['RouteTableId']
    ec2.associate_route_table(RouteTableId=t, SubnetId=subnet(name))
    for route in routes: ec2.create_route(RouteTableId=t, DestinationCidrBlock='0.0.0.0/0', **route)
";

impl Scene {
    fn new() -> Option<Self> {
        let mut bodies = match Bodies::make() {
            Ok(bodies) => bodies,
            Err(why) => {
                println!("SKIPPED: {why}");
                return None;
            }
        };
        let moto = Moto::start_in(bodies.network());
        let settings = bodies.follow(&moto, Settings { rules: true, ..Settings::default() });
        let strict = Strict::in_front_of(&moto, settings);
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key).status().unwrap();
        assert!(made.success());
        Some(Scene { bodies, strict, moto, folder })
    }

    #[track_caller]
    fn aws(&self, code: &str) -> String {
        let mut command = self.strict.python();
        command.args(["-c", &format!("{PRELUDE}{code}")]).envs(self.strict.environment());
        let output = command.env("AWS_DEFAULT_REGION", "us-west-2").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn host(&mut self, private: bool) -> Host {
        let mut hosts = self.bodies.hosts().into_values();
        hosts.find(|h| h.ip.starts_with("10.9.1.") == private).unwrap()
    }

    /// What `ssh` answers from outside; through the head where there is one.
    fn ssh(&self, user: &str, host: &str, jump: Option<&str>, command: &str) -> Output {
        let key = self.folder.path().join("key");
        let options = format!(
            "-i {} -o BatchMode=yes -o ConnectTimeout=2 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            key.display()
        );
        let mut ssh = self.bodies.network().command("ssh");
        ssh.args(options.split(' '));
        if let Some(jump) = jump {
            ssh.args(["-o", &format!("ProxyCommand=ssh {options} -W %h:%p {jump}")]);
        }
        ssh.arg(format!("{user}@{host}")).arg(command).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn awaited(ask: impl Fn() -> Output) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let output = ask();
        if output.status.success() {
            return said(&output);
        }
        assert!(Instant::now() < deadline, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn packets_go_where_the_record_lets_them() {
    let Some(mut scene) = Scene::new() else { return };
    let public_key = fs::read_to_string(scene.folder.path().join("key.pub")).unwrap();
    scene.aws(&format!(
        "
v = ec2.create_vpc(CidrBlock='10.9.0.0/16', TagSpecifications=tagged('vpc', 'v'))['Vpc']['VpcId']
a = ec2.create_subnet(VpcId=v, CidrBlock='10.9.0.0/24', TagSpecifications=tagged('subnet', 'public'))['Subnet']['SubnetId']
b = ec2.create_subnet(VpcId=v, CidrBlock='10.9.1.0/24', TagSpecifications=tagged('subnet', 'private'))['Subnet']['SubnetId']
g = ec2.create_security_group(GroupName='g', Description='d', VpcId=v)['GroupId']
ec2.modify_subnet_attribute(SubnetId=a, MapPublicIpOnLaunch={{'Value': True}})
ec2.import_key_pair(KeyName='k', PublicKeyMaterial='''{}'''.encode())
for s in (a, b):
    ec2.run_instances(ImageId='ami-1e749f67', InstanceType='m5.large', KeyName='k', MinCount=1, MaxCount=1,
        SubnetId=s, SecurityGroupIds=[g])
",
        public_key.trim()
    ));
    let (head, worker) = (scene.host(false), scene.host(true));
    let address = head.public_ip.clone().unwrap();
    let login = |scene: &Scene| scene.ssh("ubuntu", &address, None, "hostname");
    assert!(!login(&scene).status.success(), "there is no way in yet");

    scene.aws(
        "
i = ec2.create_internet_gateway()['InternetGateway']['InternetGatewayId']
ec2.attach_internet_gateway(InternetGatewayId=i, VpcId=vpc())
table('public', {'GatewayId': i})
",
    );
    scene.bodies.hosts();
    assert!(!login(&scene).status.success(), "no rule lets anybody in");

    scene.aws(
        "
ec2.authorize_security_group_ingress(GroupId=group(), IpPermissions=[
    {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '198.51.100.0/24'}]},
    {'IpProtocol': '-1', 'UserIdGroupPairs': [{'GroupId': group()}]}])
",
    );
    scene.bodies.hosts();
    assert_eq!(awaited(|| login(&scene)), format!("ip-{}", head.ip.replace('.', "-")));
    for user in ["root", "ubuntu"] {
        assert_eq!(said(&scene.ssh(user, &address, None, "whoami; sudo -n whoami")), format!("{user}\nroot"));
    }
    assert!(
        !scene.ssh("ubuntu", &worker.ip, None, "true").status.success(),
        "private hosts are not reached from outside"
    );
    let jump = format!("ubuntu@{address}");
    let through = |command: &str| scene.ssh("ubuntu", &worker.ip, Some(&jump), command);
    assert_eq!(awaited(|| through("hostname")), format!("ip-{}", worker.ip.replace('.', "-")));

    fs::write(scene.folder.path().join("artifact"), "from the mirror").unwrap();
    let mirror = scene.folder.path().to_owned();
    let url = scene.bodies.mirror(&mirror);
    let fetch = format!(
        "python3 -c \"import urllib.request as u; print(u.urlopen('{url}artifact', timeout=2).read().decode())\""
    );
    let through = |command: &str| scene.ssh("ubuntu", &worker.ip, Some(&jump), command);
    assert!(!through(&fetch).status.success(), "a private host has no way out by itself");
    scene.aws(
        "
e = ec2.allocate_address(Domain='vpc')['AllocationId']
n = ec2.create_nat_gateway(SubnetId=subnet('public'), AllocationId=e)['NatGateway']['NatGatewayId']
table('private', {'NatGatewayId': n})
",
    );
    scene.bodies.hosts();
    let through = |command: &str| scene.ssh("ubuntu", &worker.ip, Some(&jump), command);
    assert_eq!(said(&through(&fetch)), "from the mirror");
    assert_eq!(said(&worker.command("hostname").output().unwrap()), format!("ip-{}", worker.ip.replace('.', "-")));

    let keys = scene.aws(
        "
for r in ec2.describe_instances()['Reservations']:
    print(ec2.get_console_output(InstanceId=r['Instances'][0]['InstanceId']).get('Output', ''))
",
    );
    assert_eq!(keys.matches("-----BEGIN SSH HOST KEY KEYS-----").count(), 2, "{keys}");

    scene.aws(
        "
ec2.terminate_instances(InstanceIds=[i['InstanceId'] for r in ec2.describe_instances()['Reservations'] for i in r['Instances']])
",
    );
    assert_eq!(scene.bodies.hosts().len(), 0);
    let Network::Namespace(outside) = scene.bodies.network().clone() else {
        panic!("hosts are outside of the machine")
    };
    drop((scene.strict, scene.moto, scene.bodies));
    assert!(!std::path::Path::new("/run/netns").join(outside).exists());
}
