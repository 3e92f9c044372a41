#: sentence = "A crash in a timer interrupt that interrupted a kernel thread, dumped by the crash kernel."
#: programs = ["kexec"]
#: command_line = "crashkernel=192M"
#: memory_mib = 704
#: test_modules = ["lab_crash"]
. "$LAB/lib.sh"

fact_json cpu 1
fact_json functions '["lab_crash_here", "lab_timer_function", "lab_spin_inner", "lab_spin", "kthread"]'
ready_to_crash
insmod "$LAB/modules/lab_crash.ko" cpu=1
sleep 60
fail "no crash"
