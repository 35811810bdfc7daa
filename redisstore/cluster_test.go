package redisstore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// cluster is a real one: a master of nearly all slots, its replica, and two masters more,
// which elect.
type cluster struct {
	t     testing.TB
	nodes []*server
	ports []string
}

func newCluster(t testing.TB, masters, replicas int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var buses []string
	for range masters + replicas {
		port, bus := freePort(t), freePort(t)
		node := newServer(t, "--port", port, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000",
			"--cluster-config-file", filepath.Join(t.TempDir(), "nodes.conf"), "--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0")
		c.nodes, c.ports, buses = append(c.nodes, node), append(c.ports, port), append(buses, bus)
	}
	last := 16383
	for i := 1; i < masters; i++ {
		c.nodes[i].do("CLUSTER", "ADDSLOTS", last)
		last--
	}
	c.nodes[0].do("CLUSTER", "ADDSLOTSRANGE", 0, last)
	for i := range c.nodes {
		c.nodes[i].do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			c.nodes[0].do("CLUSTER", "MEET", "127.0.0.1", c.ports[i], buses[i])
		}
	}
	if slot := c.nodes[0].do("CLUSTER", "KEYSLOT", "{hermetic}").(int64); slot > int64(last) {
		t.Fatalf("the slot is %d", slot)
	}
	id := c.nodes[0].do("CLUSTER", "MYID")
	for _, node := range c.nodes[masters:] {
		wait(t, "the replica knows its master", func() bool { return strings.Contains(node.do("CLUSTER", "NODES").(string), id.(string)) })
		node.do("CLUSTER", "REPLICATE", id)
	}
	for _, node := range c.nodes {
		wait(t, "all agree", func() bool {
			info := node.do("CLUSTER", "INFO").(string)
			return field(info, "cluster_state") == "ok" && field(info, "cluster_known_nodes") == fmt.Sprint(len(c.nodes))
		})
	}
	for _, node := range c.nodes[masters:] {
		wait(t, "the replica has what its master has", func() bool {
			return strings.Contains(node.do("INFO", "replication").(string), "master_link_status:up")
		})
	}
	return c
}

func (c *cluster) client(user, password string) *redis.ClusterClient {
	o := &redis.ClusterOptions{
		Username: user, Password: password, ContextTimeoutEnabled: true,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience,
	}
	for _, port := range c.ports {
		o.Addrs = append(o.Addrs, "127.0.0.1:"+port)
	}
	client := redis.NewClusterClient(o)
	c.t.Cleanup(func() { client.Close() })
	return client
}

// TestClusterRights: the documented rights are enough in a cluster.
func TestClusterRights(t *testing.T) {
	c := newCluster(t, 1, 0)
	c.nodes[0].do(documentedRights(t)...)
	admin, err := New(c.client("", ""), &Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	ready(t, admin)
	s, err := New(c.client("fleet", "secret"), &Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	exerciseRights(t, s)
}

// TestClusterFailover: a Store follows it as soon as the cluster has made it, although a
// client would look around once a minute.
func TestClusterFailover(t *testing.T) {
	c := newCluster(t, 3, 1)
	for _, node := range c.nodes {
		node.do(documentedRights(t)...)
	}
	admin, err := New(c.client("", ""), &Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	ready(t, admin)
	var e ear
	s, err := New(c.client("fleet", "secret"), &Options{Timeout: patience, OnError: e.hear})
	if err != nil {
		t.Fatal(err)
	}
	refresh(t, s)
	cookie := s.cookieSecret()
	if !s.Unseen([]byte("id"), time.Now().Add(maxAhead)) {
		t.Fatalf("told %v", e.take())
	}
	offset := func(node *server, name string) string { return field(node.do("INFO", "replication").(string), name) }
	wait(t, "the replica has the secrets", func() bool {
		return offset(c.nodes[0], "master_repl_offset") == offset(c.nodes[3], "slave_repl_offset")
	})

	c.nodes[0].kill()
	wait(t, "the Store has found the new master", func() bool {
		if s.Unseen([]byte("id"), time.Now().Add(maxAhead)) {
			t.Error("accepted a second time")
		}
		s.link.quiet(t)
		return s.link.up()
	})
	if offset(c.nodes[3], "role") != "master" {
		t.Error("it has found somebody else")
	}
	fresh, err := New(c.client("fleet", "secret"), &Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	refresh(t, fresh)
	refresh(t, s)
	if string(fresh.cookieSecret()) != string(cookie) {
		t.Error("the fleet's secrets were lost")
	}
	if err := s.touch(context.Background()); err != ErrForgetful {
		t.Errorf("the new master: %v", err)
	}
}

// TestSlotMigration: a slot of which a part was moved, and whose migration was given up, has
// lost what nobody misses but the guard.
func TestSlotMigration(t *testing.T) {
	c := newCluster(t, 2, 0)
	s, err := New(c.client("", ""), &Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	ready(t, s)
	wantAsk(t, s, "the original", "id", true, nil)
	from, to := c.nodes[0], c.nodes[1]
	slot := from.do("CLUSTER", "KEYSLOT", "{hermetic}")
	to.do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.do("CLUSTER", "MYID"))
	from.do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.do("CLUSTER", "MYID"))
	from.do("MIGRATE", "127.0.0.1", c.ports[1], "{hermetic}:young", 0, 60000)
	from.do("CLUSTER", "SETSLOT", slot, "STABLE")
	to.do("CLUSTER", "SETSLOT", slot, "STABLE")
	wantAsk(t, s, "after a migration that was given up", "id", false, ErrForgetful)
}
