#!/bin/sh
# The guest's first process. The last line that it prints tells how the tests ended.
export PATH=/bin HOME=/root TMPDIR=/tmp CI=true
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs trace /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done
filter=$(sed -n 's/.* filter=\([a-z0-9_:]*\).*/\1/p' /proc/cmdline)
echo "guest: Linux $(uname -r), controllers $(cat /sys/fs/cgroup/cgroup.subtree_control)"
# Not as a child of pid 1: nobody may touch what runs the agent, and that is everything's parent here.
(@TESTS@ --test-threads=1 --show-output "$filter"; echo "guest: exit $?")
poweroff -f
