//! Templates of node types, made of a table: one line says what a file of forty would.
//!
//! A generated template is a template like any other: it is composed from text, its lines have places, and a user's own of
//! the same name comes first.

/// The tables, by provider.
const AWS: &str = include_str!("../../templates/clusters/aws/table.txt");

/// Where AWS's disks are: the root disk, then data disks.
const ROOT: &str = "/dev/sda1";
const DATA: [&str; 4] = ["/dev/sdf", "/dev/sdg", "/dev/sdh", "/dev/sdi"];

/// Template, head, its disk, worker, its disk, data disks.
type Row = [&'static str; 6];

fn rows() -> impl Iterator<Item = Row> {
    let lines = AWS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().collect::<Vec<_>>().try_into().ok())
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    rows().map(|[name, ..]| name)
}

/// The text of the template of that name.
pub(crate) fn template(name: &str) -> Option<String> {
    let [_, head, root, worker, worker_root, data] = rows().find(|[known, ..]| *known == name)?;
    let mut text = format!("# {name}: made of the table of node types.\nprovider:\n    type: aws\n\n");
    text.push_str("available_node_types:\n");
    node(&mut text, "head.default", head, root, "-");
    if worker != "-" {
        node(&mut text, "worker.default", worker, worker_root, data);
    }
    Some(text)
}

fn node(text: &mut String, name: &str, kind: &str, root: &str, data: &str) {
    text.push_str(&format!("    {name}:\n        node_config:\n            InstanceType: {kind}\n"));
    text.push_str("            BlockDeviceMappings:\n");
    disk(text, ROOT, root);
    let (count, spec) = data.split_once('x').unwrap_or(("0", ""));
    let count = count.parse().unwrap_or(0);
    DATA.iter().take(count).for_each(|device| disk(text, device, spec));
}

fn disk(text: &mut String, device: &str, spec: &str) {
    let keys = ["VolumeSize", "VolumeType", "Iops", "Throughput"];
    let entries: Vec<String> = keys.iter().zip(spec.split(':')).map(|(key, value)| format!("{key}: {value}")).collect();
    let ebs = entries.join(", ");
    text.push_str(&format!("                - DeviceName: {device}\n"));
    text.push_str(&format!("                  Ebs: {{{ebs}, DeleteOnTermination: true}}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_template_of_its_own() {
        let lines = AWS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).count();
        let names: std::collections::BTreeSet<_> = names().collect();
        assert_eq!((names.len(), names.len()), (lines, 31));
    }

    #[test]
    fn a_line_is_what_a_file_would_say() {
        let expected = "# aws/latest/large: made of the table of node types.
provider:
    type: aws

available_node_types:
    head.default:
        node_config:
            InstanceType: m5.4xlarge
            BlockDeviceMappings:
                - DeviceName: /dev/sda1
                  Ebs: {VolumeSize: 100, VolumeType: gp2, DeleteOnTermination: true}
    worker.default:
        node_config:
            InstanceType: m6i.16xlarge
            BlockDeviceMappings:
                - DeviceName: /dev/sda1
                  Ebs: {VolumeSize: 100, VolumeType: gp2, DeleteOnTermination: true}
                - DeviceName: /dev/sdf
                  Ebs: {VolumeSize: 200, VolumeType: gp3, Iops: 8000, Throughput: 300, DeleteOnTermination: true}
                - DeviceName: /dev/sdg
                  Ebs: {VolumeSize: 200, VolumeType: gp3, Iops: 8000, Throughput: 300, DeleteOnTermination: true}
                - DeviceName: /dev/sdh
                  Ebs: {VolumeSize: 200, VolumeType: gp3, Iops: 8000, Throughput: 300, DeleteOnTermination: true}
";
        assert_eq!(template("aws/latest/large").as_deref(), Some(expected));
        assert_eq!(template("aws/nothing"), None);
    }
}
