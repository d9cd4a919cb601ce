// Command without-io-uring runs a program that may not use io_uring, as the default profiles of containers have it.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// filterInstruction and filterProgram are sock_filter and sock_fprog of linux/filter.h.
type filterInstruction struct {
	code      uint16
	onTrue    uint8
	onFalse   uint8
	parameter uint32
}

type filterProgram struct {
	count        uint16
	instructions *filterInstruction
}

const (
	loadWord      = 0x20 // BPF_LD | BPF_W | BPF_ABS
	jumpIfEqual   = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	answer        = 0x06 // BPF_RET | BPF_K
	answerAllow   = 0x7fff0000
	answerErrno   = 0x00050000
	ioUringSetup  = 425
	noNewRights   = 38 // PR_SET_NO_NEW_PRIVS
	setSeccomp    = 22 // PR_SET_SECCOMP
	seccompFilter = 2  // SECCOMP_MODE_FILTER
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: without-io-uring PROGRAM [ARGUMENT...]")
		os.Exit(64)
	}
	// The filter is the thread's, and exec keeps that of the thread that calls it.
	runtime.LockOSThread()
	instructions := []filterInstruction{
		{loadWord, 0, 0, 0}, // the number of the call
		{jumpIfEqual, 0, 1, ioUringSetup},
		{answer, 0, 0, answerErrno | uint32(syscall.EPERM)},
		{answer, 0, 0, answerAllow},
	}
	filter := filterProgram{uint16(len(instructions)), &instructions[0]}
	check(control(noNewRights, 1, 0))
	check(control(setSeccomp, seccompFilter, uintptr(unsafe.Pointer(&filter))))
	check(syscall.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

func control(option, first, second uintptr) error {
	if _, _, fault := syscall.RawSyscall6(syscall.SYS_PRCTL, option, first, second, 0, 0, 0); fault != 0 {
		return fault
	}
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "without-io-uring:", err)
		os.Exit(1)
	}
}
