package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// The first arguments with which this program starts itself again. The second is a spec.
const (
	serveCommand = "process-serve"
	loadCommand  = "process-load"
)

// Child must be called first by a program that measures processes, and by its tests: they start
// themselves again to serve and to generate load. It then does that, and does not return.
func Child() {
	if len(os.Args) != 3 || os.Args[1] != serveCommand && os.Args[1] != loadCommand {
		return
	}
	if err := work(os.Args[1], []byte(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func work(command string, text []byte) error {
	raiseFiles()
	if command == serveCommand {
		var spec serverSpec
		if err := json.Unmarshal(text, &spec); err != nil {
			return err
		}
		return serve(spec)
	}
	var spec loadSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	result, err := generate(spec)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// again is this program once more.
func again(command string, spec any) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, command, string(text))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GNET_LOGGING_LEVEL=2") // errors only
	cmd.Stderr = new(bytes.Buffer)
	return cmd, nil
}

// wait waits for the end of a child. Its error has what the child has said.
func wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if said := bytes.TrimSpace(cmd.Stderr.(*bytes.Buffer).Bytes()); err != nil && len(said) > 0 {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// A core is what a process runs on.
type core int

const (
	loadCore core = iota
	serverCore
)

// startOn starts a process that uses one core only: the generator the first, all servers the
// second. If there is only one, they share it.
func startOn(which core, cmd *exec.Cmd) error {
	// A child has the processors of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	var one unix.CPUSet
	one.Set(pick(all, int(which)))
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &all)
	return cmd.Start()
}

// pick is the nth processor of a set, or the last one.
func pick(set unix.CPUSet, n int) int {
	last := 0
	for cpu, found := 0, 0; found < set.Count() && found <= n; cpu++ {
		if set.IsSet(cpu) {
			last = cpu
			found++
		}
	}
	return last
}

// maxFiles is how many descriptors a process of ours may have: more than connections.
const maxFiles = MaxConns + 500

// raiseFiles raises the limit of descriptors as far as it can. Only root can raise it beyond the
// hard limit.
func raiseFiles() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur >= maxFiles {
		return
	}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: maxFiles, Max: max(limit.Max, maxFiles)}) != nil {
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
}

// enoughFiles is an error if so many connections are more than the limit allows.
func enoughFiles(conns int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if need := uint64(conns + 100); limit.Cur < need {
		return fmt.Errorf("%d connections need %d descriptors, and the limit is %d: raise it with ulimit -n", conns, need, limit.Cur)
	}
	return nil
}
