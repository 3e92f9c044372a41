// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Crashes in a timer interrupt that interrupts a kernel thread in a known function, so that the stack has
 * known functions in both contexts.
 */
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/module.h>

static int cpu = 1;
module_param(cpu, int, 0444);

static struct hrtimer lab_timer;
static volatile unsigned long lab_spins;

static noinline void lab_crash_here(volatile int *target, int value)
{
	*target = value;
	barrier();
}

static noinline enum hrtimer_restart lab_timer_function(struct hrtimer *timer)
{
	lab_crash_here(NULL, 42);
	return HRTIMER_NORESTART;
}

static noinline void lab_spin_inner(void)
{
	while (!kthread_should_stop()) {
		lab_spins++;
		cpu_relax();
	}
}

static noinline int lab_spin(void *unused)
{
	hrtimer_init(&lab_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	lab_timer.function = lab_timer_function;
	hrtimer_start(&lab_timer, ms_to_ktime(200), HRTIMER_MODE_REL_PINNED_HARD);
	lab_spin_inner();
	/* Keeps this frame on the stack: no tail call. */
	barrier();
	return 0;
}

static int __init lab_crash_init(void)
{
	struct task_struct *thread = kthread_create_on_cpu(lab_spin, NULL, cpu, "lab_spinner/%u");

	if (IS_ERR(thread))
		return PTR_ERR(thread);
	wake_up_process(thread);
	return 0;
}
module_init(lab_crash_init);

MODULE_DESCRIPTION("A crash in an interrupt");
MODULE_LICENSE("GPL");
