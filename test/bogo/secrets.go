package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// keyLog keeps the secrets of a connection by their labels.
type keyLog struct{ lines bytes.Buffer }

func (k *keyLog) Write(line []byte) (int, error) { return k.lines.Write(line) }

// secret is the first one with the label.
func (k *keyLog) secret(label string) ([]byte, error) {
	for line := range bytes.Lines(k.lines.Bytes()) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == label {
			return hex.DecodeString(string(fields[2]))
		}
	}
	return nil, fmt.Errorf("the key log has no %s", label)
}

// exportTrafficSecrets writes the traffic secrets as the runner wants to see them:
// their size, then the one for reading and the one for writing. They come from the
// key log: nothing else shows them.
func (c *connection) exportTrafficSecrets() error {
	if !c.o.exportSecrets {
		return nil
	}
	labels := []string{"SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"}
	if c.o.server {
		labels[0], labels[1] = labels[1], labels[0]
	}
	read, err := c.secrets.secret(labels[0])
	write, err2 := c.secrets.secret(labels[1])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	for _, b := range [][]byte{binary.LittleEndian.AppendUint16(nil, uint16(len(read))), read, write} {
		if err := c.write(b); err != nil {
			return err
		}
	}
	return nil
}

// sendUnique writes the channel binding tls-unique, which the runner compares.
func (c *connection) sendUnique() error {
	if !c.o.tlsUnique {
		return nil
	}
	unique := c.state().TLSUnique
	if len(unique) == 0 {
		return errors.New("failed to get tls-unique")
	}
	return c.write(unique)
}
