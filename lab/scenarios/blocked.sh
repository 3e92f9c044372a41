#: sentence = "Tasks that wait for mutexes and a semaphore which others hold, two of them for each other."
#: programs = ["modprobe"]
#: test_modules = ["lab_locks"]
. "$LAB/lib.sh"

insmod "$LAB/modules/lab_locks.ko" || fail "lab_locks does not load"
parameters=/sys/module/lab_locks/parameters
for path in "$parameters"/*; do
    fact_json "${path##*/}" "$(cat "$path")"
done
is_blocked() { grep -q '^State:.D' "/proc/$1/status"; }
for name in mutex_holder mutex_waiter rwsem_holder rwsem_reader rwsem_writer first_holder second_holder; do
    wait_until is_blocked "$(cat "$parameters/$name")"
done
sleep 1
fact stacks "$(cat /proc/"$(cat $parameters/mutex_waiter)"/stack /proc/"$(cat $parameters/rwsem_reader)"/stack)"
ready
