// Package still keeps idle work queues asleep.
//
// Each named queue of client-go wakes twice a second to bring its own metrics up to date, busy or not: with a hundred queues that is
// most of what an idle controller manager does. Queues without a provider of metrics sleep, and the first provider stays for good;
// here the first one is none. It works only before the others register theirs, in their packages' init: packages whose
// dependencies are met are initialised in the order of their import paths, and this one's comes before k8s.io/component-base.
// What goes are the workqueue_* metrics, which nobody reads on a node.
package still

import (
	"sync"
	_ "unsafe" // for go:linkname

	_ "k8s.io/client-go/util/workqueue"
)

//go:linkname first k8s.io/client-go/util/workqueue.setGlobalMetricsProviderOnce
var first sync.Once

func init() {
	first.Do(func() {})
}
