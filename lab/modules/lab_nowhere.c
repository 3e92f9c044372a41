// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Calls a null pointer from a probe on a helper that BPF programs call: the stack then has generated code, the
 * trampoline of the probe, and a program counter that is no code.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

static void (*volatile lab_missing_callback)(int code);

static noinline void lab_call_nowhere(int code)
{
	lab_missing_callback(code);
	/* Keeps this frame on the stack: no tail call. */
	barrier();
}

static int lab_probe_handler(struct kprobe *probe, struct pt_regs *regs)
{
	lab_call_nowhere(7);
	return 0;
}

static struct kprobe lab_probe = {
	.symbol_name = "bpf_user_rnd_u32",
	.pre_handler = lab_probe_handler,
};

static int __init lab_nowhere_init(void)
{
	return register_kprobe(&lab_probe);
}
module_init(lab_nowhere_init);

MODULE_DESCRIPTION("A call of a null pointer");
MODULE_LICENSE("GPL");
