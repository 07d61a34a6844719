package main

import (
	"bufio"
	"encoding/json"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

type ask struct {
	Cron  string `json:"cron"`
	Zone  string `json:"zone"`
	Start int64  `json:"start"`
	Count int    `json:"count"`
}

type answer struct {
	Cron  string  `json:"cron"`
	Zone  string  `json:"zone"`
	Start int64   `json:"start"`
	Times []int64 `json:"times"`
	Error string  `json:"error,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var a ask
		if err := json.Unmarshal(in.Bytes(), &a); err != nil {
			panic(err)
		}
		r := answer{a.Cron, a.Zone, a.Start, []int64{}, ""}
		schedule, err := cron.ParseStandard("CRON_TZ=" + a.Zone + " " + a.Cron)
		if err != nil {
			r.Error = err.Error()
		} else {
			t := time.Unix(a.Start, 0).UTC()
			for i := 0; i < a.Count; i++ {
				t = schedule.Next(t)
				if t.IsZero() {
					break
				}
				r.Times = append(r.Times, t.Unix())
			}
		}
		out.Encode(r)
	}
}
