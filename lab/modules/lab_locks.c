// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Tasks that wait for locks: one for a mutex whose holder sleeps, a reader and a writer for a semaphore that a writer
 * holds, and two that each wait for the mutex of the other.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

static DEFINE_MUTEX(lab_mutex);
static DECLARE_RWSEM(lab_rwsem);
static DEFINE_MUTEX(lab_first);
static DEFINE_MUTEX(lab_second);
static DECLARE_COMPLETION(lab_never);
static DECLARE_COMPLETION(lab_has_mutex);
static DECLARE_COMPLETION(lab_has_rwsem);
static DECLARE_COMPLETION(lab_has_first);
static DECLARE_COMPLETION(lab_has_second);

/* What the truth needs, as read-only parameters: thread IDs and addresses. */
static int mutex_holder, mutex_waiter, rwsem_holder, rwsem_reader, rwsem_writer, first_holder, second_holder;
static ulong mutex_address, rwsem_address, first_address, second_address;
module_param(mutex_holder, int, 0444);
module_param(mutex_waiter, int, 0444);
module_param(rwsem_holder, int, 0444);
module_param(rwsem_reader, int, 0444);
module_param(rwsem_writer, int, 0444);
module_param(first_holder, int, 0444);
module_param(second_holder, int, 0444);
module_param(mutex_address, ulong, 0444);
module_param(rwsem_address, ulong, 0444);
module_param(first_address, ulong, 0444);
module_param(second_address, ulong, 0444);

static int lab_hold_mutex(void *unused)
{
	mutex_lock(&lab_mutex);
	complete(&lab_has_mutex);
	wait_for_completion(&lab_never);
	mutex_unlock(&lab_mutex);
	return 0;
}

static int lab_want_mutex(void *unused)
{
	wait_for_completion(&lab_has_mutex);
	mutex_lock(&lab_mutex);
	mutex_unlock(&lab_mutex);
	return 0;
}

static int lab_hold_rwsem(void *unused)
{
	down_write(&lab_rwsem);
	complete_all(&lab_has_rwsem);
	wait_for_completion(&lab_never);
	up_write(&lab_rwsem);
	return 0;
}

static int lab_want_to_read(void *unused)
{
	wait_for_completion(&lab_has_rwsem);
	down_read(&lab_rwsem);
	up_read(&lab_rwsem);
	return 0;
}

static int lab_want_to_write(void *unused)
{
	wait_for_completion(&lab_has_rwsem);
	down_write(&lab_rwsem);
	up_write(&lab_rwsem);
	return 0;
}

static int lab_first_then_second(void *unused)
{
	mutex_lock(&lab_first);
	complete(&lab_has_first);
	wait_for_completion(&lab_has_second);
	mutex_lock(&lab_second);
	mutex_unlock(&lab_second);
	mutex_unlock(&lab_first);
	return 0;
}

static int lab_second_then_first(void *unused)
{
	mutex_lock(&lab_second);
	complete(&lab_has_second);
	wait_for_completion(&lab_has_first);
	mutex_lock(&lab_first);
	mutex_unlock(&lab_first);
	mutex_unlock(&lab_second);
	return 0;
}

static int lab_start(int (*function)(void *), const char *name)
{
	struct task_struct *task = kthread_run(function, NULL, name);

	return IS_ERR(task) ? -1 : task->pid;
}

static int __init lab_locks_init(void)
{
	mutex_holder = lab_start(lab_hold_mutex, "lab_holder");
	mutex_waiter = lab_start(lab_want_mutex, "lab_waiter");
	rwsem_holder = lab_start(lab_hold_rwsem, "lab_rw_holder");
	rwsem_reader = lab_start(lab_want_to_read, "lab_reader");
	rwsem_writer = lab_start(lab_want_to_write, "lab_writer");
	first_holder = lab_start(lab_first_then_second, "lab_first");
	second_holder = lab_start(lab_second_then_first, "lab_second");
	mutex_address = (ulong)&lab_mutex;
	rwsem_address = (ulong)&lab_rwsem;
	first_address = (ulong)&lab_first;
	second_address = (ulong)&lab_second;
	return 0;
}
module_init(lab_locks_init);

MODULE_DESCRIPTION("Tasks that wait for locks");
MODULE_LICENSE("GPL");
