// SPDX-License-Identifier: GPL-2.0-only

// For each line on standard input, a field's value in hexadecimal digits: reads it as baggage and writes what
// go.opentelemetry.io/otel would send on, in the same form.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/propagation"
)

type carrier map[string]string

func (c carrier) Get(key string) string { return c[key] }
func (c carrier) Set(key, value string) { c[key] = value }
func (c carrier) Keys() []string        { return nil }

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		value, err := hex.DecodeString(lines.Text())
		if err != nil {
			panic(err)
		}
		received, sent := carrier{"baggage": string(value)}, carrier{}
		propagation.Baggage{}.Inject(propagation.Baggage{}.Extract(context.Background(), received), sent)
		fmt.Println(hex.EncodeToString([]byte(sent["baggage"])))
	}
}
