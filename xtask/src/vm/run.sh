export CI=true TMPDIR=/tmp
filters=$(sed -n 's/.* filter=\([a-z0-9_:,]*\).*/\1/p' /proc/cmdline | tr , ' ')
echo "guest: Linux $(uname -r), controllers $(cat /sys/fs/cgroup/cgroup.subtree_control)"
@TESTS@ --test-threads=1 --show-output $filters
echo "guest: exit $?"
