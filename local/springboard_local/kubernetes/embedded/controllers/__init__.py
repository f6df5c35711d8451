"""Level-triggered controllers: what kube-controller-manager, kube-scheduler and the kubelets do."""
