# host.sh NAME FOLDER: the first process of a host, in namespaces of its own. Makes the host's view of the machine, then is sshd.
set -euo pipefail
name=$1 folder=$2 root=$2/root

hostname "$name"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys"
for place in run tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$place"; done

# What users of the machine have is none of the host's business.
for place in root home; do
    mkdir -p "$folder/own/$place"
    mount --bind "$folder/own/$place" "$root/$place"
done
chmod 700 "$root/root"
mkdir -p "$root/run/sshd" "$root/run/lock"

if ! grep -q '^ubuntu:' "$root/etc/passwd"; then
    echo 'ubuntu:x:61000:61000:Ubuntu:/home/ubuntu:/bin/bash' >>"$root/etc/passwd"
    echo 'ubuntu:x:61000:' >>"$root/etc/group"
    echo 'ubuntu:*:19700:0:99999:7:::' >>"$root/etc/shadow"
    # Host keys and logins of a machine that has no password at all.
    sed -i 's/^root:[^:]*:/root:*:/' "$root/etc/shadow"
    mkdir -p "$root/etc/sudoers.d" "$root/home/ubuntu"
    echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >"$root/etc/sudoers.d/90-cloud-init-users"
    chmod 440 "$root/etc/sudoers.d/90-cloud-init-users"
fi
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
echo "$name" >"$root/etc/hostname"
for home in root home/ubuntu; do
    install -d -m 700 "$root/$home/.ssh"
    install -m 600 "$folder/authorized_keys" "$root/$home/.ssh/authorized_keys"
done
chown -R 61000:61000 "$root/home/ubuntu"
install -m 600 "$folder/hostkey" "$root/run/hostkey"

cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /usr/sbin/sshd -D -e -f /dev/null \
    -h /run/hostkey -o PidFile=none -o UsePAM=no -o UseDNS=no -o PermitRootLogin=prohibit-password \
    -o PasswordAuthentication=no -o MaxStartups=100 -o MaxSessions=100 -o Subsystem='sftp internal-sftp'
