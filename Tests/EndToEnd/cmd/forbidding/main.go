// Command forbidding runs a program to which system calls are forbidden, as profiles of containers have it: the kernel
// answers each of them with an error of our choice.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const explanation = `usage: forbidding CALL[/ARGUMENT]=ERROR[,...] PROGRAM [ARGUMENT...]
Calls and errors are numbers; with an argument only calls whose first one is that are meant.`

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
	numberOfCall  = 0  // in seccomp_data
	firstArgument = 16 // its lower half
	noNewRights   = 38 // PR_SET_NO_NEW_PRIVS
	setSeccomp    = 22 // PR_SET_SECCOMP
	seccompFilter = 2  // SECCOMP_MODE_FILTER
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, explanation)
		os.Exit(64)
	}
	var instructions []filterInstruction
	for _, rule := range strings.Split(os.Args[1], ",") {
		instructions = append(instructions, instructionsOf(rule)...)
	}
	instructions = append(instructions, filterInstruction{answer, 0, 0, answerAllow})
	// The filter is the thread's, and exec keeps that of the thread that calls it.
	runtime.LockOSThread()
	filter := filterProgram{uint16(len(instructions)), &instructions[0]}
	check(control(noNewRights, 1, 0))
	check(control(setSeccomp, seccompFilter, uintptr(unsafe.Pointer(&filter))))
	check(syscall.Exec(os.Args[2], os.Args[2:], os.Environ()))
}

func instructionsOf(rule string) []filterInstruction {
	what, errno, _ := strings.Cut(rule, "=")
	call, argument, hasArgument := strings.Cut(what, "/")
	refuse := filterInstruction{answer, 0, 0, answerErrno | number(errno)}
	load := filterInstruction{loadWord, 0, 0, numberOfCall}
	if !hasArgument {
		return []filterInstruction{load, {jumpIfEqual, 0, 1, number(call)}, refuse}
	}
	return []filterInstruction{
		load, {jumpIfEqual, 0, 3, number(call)},
		{loadWord, 0, 0, firstArgument}, {jumpIfEqual, 0, 1, number(argument)}, refuse,
	}
}

func number(text string) uint32 {
	value, err := strconv.ParseUint(text, 10, 16)
	check(err)
	return uint32(value)
}

func control(option, first, second uintptr) error {
	if _, _, fault := syscall.RawSyscall6(syscall.SYS_PRCTL, option, first, second, 0, 0, 0); fault != 0 {
		return fault
	}
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "forbidding:", err)
		os.Exit(1)
	}
}
