# What Terraform puts into a cluster: Argo Rollouts, Dapr, Argo CD, and the Application that points Argo CD at this
# repository. Everything else comes from Git.

# Before Dapr, whose operator watches Rollouts and does not start where there are none.
resource "helm_release" "rollouts" {
  name             = "argo-rollouts"
  namespace        = "argo-rollouts"
  create_namespace = true
  repository       = "https://argoproj.github.io/argo-helm"
  chart            = "argo-rollouts"
  version          = var.rollouts_chart_version
  atomic           = true
  timeout          = 600

  values = [yamlencode({
    installCRDs = true
    keepCRDs    = true
    controller  = { replicas = var.high_availability ? 2 : 1 }
  })]
}

resource "helm_release" "dapr" {
  name             = "dapr"
  namespace        = "dapr-system"
  create_namespace = true
  repository       = "https://dapr.github.io/helm-charts/"
  chart            = "dapr"
  version          = var.dapr_version
  atomic           = true
  timeout          = 600

  values = [yamlencode({
    global = {
      logAsJson = true
      ha        = { enabled = var.high_availability }
      mtls      = { enabled = true }
      # A role that is a Rollout gets its sidecars' Service too; without it nobody could call it.
      argoRolloutServiceReconciler = { enabled = true }
    }
    # Else the restricted Pod Security standard refuses every pod with a sidecar.
    dapr_sidecar_injector = { sidecarDropALLCapabilities = true }
  })]

  depends_on = [helm_release.rollouts]
}

resource "helm_release" "argocd" {
  name             = "argocd"
  namespace        = "argocd"
  create_namespace = true
  repository       = "https://argoproj.github.io/argo-helm"
  chart            = "argo-cd"
  version          = var.argocd_chart_version
  atomic           = true
  timeout          = 900

  values = [yamlencode({
    global = { domain = "argocd.${var.domain}" }

    configs = {
      # Reached by port-forward or behind the gateway, which ends TLS.
      params = { "server.insecure" = true }
      cm     = { "exec.enabled" = false, "users.anonymous.enabled" = false }
      rbac   = { "policy.default" = "" }

      # ApplicationSets choose what a cluster gets by these labels.
      clusterCredentials = {
        in-cluster = {
          server = "https://kubernetes.default.svc"
          labels = { environment = var.environment, cloud = var.cloud }
          config = { tlsClientConfig = { insecure = false } }
        }
      }
    }

    redis-ha       = { enabled = var.high_availability }
    controller     = { replicas = 1 }
    server         = { replicas = var.high_availability ? 2 : 1 }
    repoServer     = { replicas = var.high_availability ? 2 : 1 }
    applicationSet = { replicas = var.high_availability ? 2 : 1 }
  })]
}

# A chart of one template: the Application can be made only once Argo CD has brought its custom resources.
resource "helm_release" "root" {
  name      = "root-application"
  namespace = helm_release.argocd.namespace
  chart     = "${path.module}/root-application"
  atomic    = true

  values = [yamlencode({
    environment    = var.environment
    repositoryUrl  = var.repository_url
    targetRevision = var.target_revision
  })]
}
