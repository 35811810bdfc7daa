package circlgroups_test

import (
	"crypto/tls"
	"fmt"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/circlgroups"
)

func Example() {
	cfg := &hermetic.Config{
		ServerName:       "example.com",
		KeyExchanges:     circlgroups.All(),
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, circlgroups.MLKEM1024, tls.X25519},
	}
	client, err := hermetic.NewEngine(hermetic.TLSClient, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(client.Output(nil)) > 1216) // the ClientHello has X25519MLKEM768's share
	// Output: true
}
