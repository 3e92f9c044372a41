# What a scenario may use. Read by scenarios as: . "$LAB/lib.sh"
set -a
. "$LAB/environment"
set +a

# The virtio-serial port to the machine that runs the lab.
lab_port() {
    local name
    for name in /sys/class/virtio-ports/*; do
        [ "$(cat "$name/name")" = lab.control ] && echo "/dev/${name##*/}" && return
    done
    echo "no virtio-serial port" >&2
    exit 1
}

# Say something to the lab and wait for its answer.
lab_say() {
    local answer
    {
        echo "$*" >&9
        read -r answer <&9
    } 9<>"$(lab_port)"
    [ "$answer" = done ] || { echo "lab answered: $answer" >&2; exit 1; }
}

# fact NAME TEXT: a truth of this scenario. fact_json NAME JSON: the same with a value other than a string.
fact() { printf '%s' "$2" >"$LAB/facts/$1.txt"; }
fact_json() { printf '%s' "$2" >"$LAB/facts/$1.json"; }

# Record what the guest says about itself into NAME.json.
lab_observe() { "$LAB_PYTHON" -I -S "$LAB/observe.py" "$LAB/$1.json" || exit 1; }

# The scenario's state is established: it is recorded, dumped from outside, and recorded again.
# Where a live script was given, that runs instead of the dump.
ready() {
    lab_observe before
    if [ -e "$LAB/live.sh" ]; then
        bash "$LAB/live.sh" >"$LAB/live-output" 2>&1
        echo $? >"$LAB/live-status"
    else
        lab_say ready
    fi
    lab_observe after
}

# The scenario's state is established: it is recorded twice, and the crash kernel is loaded that copies
# this kernel's memory out. What the scenario does next has to crash.
ready_to_crash() {
    lab_observe before
    kexec --load-panic "$LAB_IMAGE" --initrd="$LAB/initramfs" --command-line="$(grep -o 'console=[^ ]*' \
        /proc/cmdline) nr_cpus=1 reset_devices panic=-1 rdinit=/init lab.capture" || exit 1
    lab_observe after
}

# Wait at most 20 s for a condition.
wait_until() {
    local left=200
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "never true: $*" >&2; exit 1; }
        sleep 0.1
    done
}

fail() {
    echo "$*" >&2
    exit 1
}
