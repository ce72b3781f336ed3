package throwaway

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// SIGQUIT and not SIGKILL: PostgreSQL then still removes its shared memory.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }

func lockThread() (unlock func()) {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(b)
}
