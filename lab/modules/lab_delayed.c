// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Queues two delayed works on a CPU that is offline: their timers never fire. One is due soon and so becomes overdue,
 * the other is due in a long time. A third one, on a CPU that is online, must not be mistaken for them.
 */
#include <linux/module.h>
#include <linux/workqueue.h>

static int cpu = 1;
module_param(cpu, int, 0444);

static struct workqueue_struct *lab_queue;

static void lab_overdue_function(struct work_struct *work)
{
	pr_info("lab_delayed: the overdue work ran\n");
}

static void lab_later_function(struct work_struct *work)
{
	pr_info("lab_delayed: the later work ran\n");
}

static void lab_online_function(struct work_struct *work)
{
	pr_info("lab_delayed: the work on the online CPU ran\n");
}

static DECLARE_DELAYED_WORK(lab_overdue_work, lab_overdue_function);
static DECLARE_DELAYED_WORK(lab_later_work, lab_later_function);
static DECLARE_DELAYED_WORK(lab_online_work, lab_online_function);

/* What the truth needs, as read-only parameters: addresses, and times in jiffies. */
static ulong overdue_address, later_address, online_address, queue_address;
static ulong overdue_expires, later_expires, online_expires;
module_param(overdue_address, ulong, 0444);
module_param(later_address, ulong, 0444);
module_param(online_address, ulong, 0444);
module_param(queue_address, ulong, 0444);
module_param(overdue_expires, ulong, 0444);
module_param(later_expires, ulong, 0444);
module_param(online_expires, ulong, 0444);

static int __init lab_delayed_init(void)
{
	lab_queue = alloc_workqueue("lab_queue", 0, 0);
	if (!lab_queue)
		return -ENOMEM;
	queue_delayed_work_on(cpu, lab_queue, &lab_overdue_work, HZ);
	queue_delayed_work_on(cpu, system_wq, &lab_later_work, 3600 * HZ);
	queue_delayed_work_on(0, lab_queue, &lab_online_work, 3600 * HZ);
	overdue_address = (ulong)&lab_overdue_work;
	later_address = (ulong)&lab_later_work;
	online_address = (ulong)&lab_online_work;
	queue_address = (ulong)lab_queue;
	overdue_expires = lab_overdue_work.timer.expires;
	later_expires = lab_later_work.timer.expires;
	online_expires = lab_online_work.timer.expires;
	return 0;
}
module_init(lab_delayed_init);

MODULE_DESCRIPTION("Delayed works on an offline CPU");
MODULE_LICENSE("GPL");
