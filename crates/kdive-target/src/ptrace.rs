//! Stopping threads of running processes to look at them.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::{Error, Result};

/// A thread that does not stop for this long waits for something that can't be interrupted.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

/// Stops a thread, calls `look` with its registers (`user_regs_struct` of the architecture, as
/// bytes), and lets it go on.
///
/// The thread goes on whatever happens: it is traced from a thread of its own here, and the
/// kernel releases what a thread traces when that ends.
///
/// # Errors
///
/// If the thread is gone, may not be traced (another debugger, `kernel.yama.ptrace_scope`), or
/// does not stop.
///
/// ```no_run
/// let size = kdive_target::with_stopped_thread(1234, |registers| registers.len())?;
/// # Ok::<(), kdive_target::Error>(())
/// ```
pub fn with_stopped_thread<T: Send>(tid: u32, look: impl FnOnce(&[u8]) -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let tracer = scope.spawn(move || {
            let pid = Pid::from_raw(i32::try_from(tid).unwrap_or(i32::MAX));
            let failed = |what: &str, errno: Errno| {
                Error::Reader(format!("can't {what} thread {tid}: {errno}").into())
            };
            ptrace::seize(pid, ptrace::Options::empty()).map_err(|errno| failed("trace", errno))?;
            ptrace::interrupt(pid).map_err(|errno| failed("stop", errno))?;
            let signal = wait_for_stop(pid).map_err(|errno| failed("stop", errno))?;
            let seen = registers(pid)
                .map(|registers| look(&registers))
                .map_err(|errno| failed("read the registers of", errno));
            // A thread that was just killed can't be let go, and need not be.
            let _ = ptrace::detach(pid, signal);
            seen
        });
        tracer.join().unwrap_or_else(|_| {
            Err(Error::Reader(
                format!("looking at thread {tid} failed").into(),
            ))
        })
    })
}

/// Waits until the thread has stopped. Gives the signal that it stopped for, which it must still
/// be given.
fn wait_for_stop(pid: Pid) -> nix::Result<Option<Signal>> {
    let start = Instant::now();
    loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG))? {
            // The stop that was asked for.
            WaitStatus::PtraceEvent(..) => return Ok(None),
            WaitStatus::Stopped(_, signal) => return Ok(Some(signal)),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err(Errno::ESRCH),
            _ if start.elapsed() > PATIENCE => return Err(Errno::ETIMEDOUT),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(pid: Pid) -> nix::Result<Vec<u8>> {
    let regs = ptrace::getregs(pid)?;
    let in_order = [
        regs.r15,
        regs.r14,
        regs.r13,
        regs.r12,
        regs.rbp,
        regs.rbx,
        regs.r11,
        regs.r10,
        regs.r9,
        regs.r8,
        regs.rax,
        regs.rcx,
        regs.rdx,
        regs.rsi,
        regs.rdi,
        regs.orig_rax,
        regs.rip,
        regs.cs,
        regs.eflags,
        regs.rsp,
        regs.ss,
        regs.fs_base,
        regs.gs_base,
        regs.ds,
        regs.es,
        regs.fs,
        regs.gs,
    ];
    Ok(in_order
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect())
}

#[cfg(target_arch = "aarch64")]
fn registers(pid: Pid) -> nix::Result<Vec<u8>> {
    let regs = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid)?;
    let words = regs.regs.iter().chain([&regs.sp, &regs.pc, &regs.pstate]);
    Ok(words.flat_map(|word| word.to_le_bytes()).collect())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers(_pid: Pid) -> nix::Result<Vec<u8>> {
    Err(Errno::ENOSYS)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn state_of(child: &Child) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
                .trim()
                .to_owned()
        };
        format!("{} {}", &field("State:")[..1], field("TracerPid:"))
    }

    #[test]
    fn a_stopped_thread_goes_on() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let (size, state) =
            with_stopped_thread(child.id(), |registers| (registers.len(), state_of(&child)))
                .unwrap();
        assert_eq!(size % 8, 0);
        assert!(size >= 27 * 8);
        assert!(state.starts_with('t'), "{state}");
        let after = state_of(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(["S 0", "R 0"].contains(&after.as_str()), "{after}");
    }

    #[test]
    fn a_panic_while_it_is_stopped_lets_it_go_on() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let seen = with_stopped_thread(child.id(), |_| panic!("while it is stopped"));
        let after = state_of(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen.is_err());
        assert!(["S 0", "R 0"].contains(&after.as_str()), "{after}");
    }

    #[test]
    fn threads_that_are_not_there_are_told() {
        let error = with_stopped_thread(u32::MAX, |_| ()).unwrap_err();
        assert!(error.to_string().contains("can't trace thread"), "{error}");
    }
}
