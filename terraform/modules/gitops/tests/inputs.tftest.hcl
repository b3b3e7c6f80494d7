# What the module gives to Helm, and a negative test for each rule on its inputs.

mock_provider "helm" {}

variables {
  environment       = "production"
  cloud             = "aws"
  domain            = "production.tidemark.example"
  high_availability = true
  repository_url    = "https://git.example/tidemark.git"
  target_revision   = "main"
}

run "installs_rollouts_dapr_argo_cd_and_the_root_and_nothing_else" {
  command = plan

  assert {
    condition     = [helm_release.rollouts.chart, helm_release.dapr.chart, helm_release.argocd.chart, basename(helm_release.root.chart)] == ["argo-rollouts", "dapr", "argo-cd", "root-application"]
    error_message = "Terraform must install these four charts"
  }

  assert {
    condition     = yamldecode(helm_release.dapr.values[0]).global.mtls.enabled && yamldecode(helm_release.dapr.values[0]).global.ha.enabled
    error_message = "production's sidecars must speak mutual TLS and their control plane must be replicated"
  }

  assert {
    condition     = yamldecode(helm_release.dapr.values[0]).global.argoRolloutServiceReconciler.enabled
    error_message = "a role that is a Rollout must stay reachable through Dapr"
  }

  assert {
    condition     = yamldecode(helm_release.argocd.values[0]).configs.clusterCredentials.in-cluster.labels == { cloud = "aws", environment = "production" }
    error_message = "the cluster must carry the labels that ApplicationSets choose by"
  }

  assert {
    condition     = yamldecode(helm_release.argocd.values[0]).configs.rbac["policy.default"] == ""
    error_message = "who is signed in to Argo CD must have no right by default"
  }
}

run "runs_single_replicas_without_high_availability" {
  command = plan

  variables {
    environment       = "staging"
    high_availability = false
  }

  assert {
    condition     = !yamldecode(helm_release.dapr.values[0]).global.ha.enabled && yamldecode(helm_release.argocd.values[0]).server.replicas == 1
    error_message = "staging must stay cheap"
  }
}

run "refuses_an_unknown_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "refuses_an_unknown_cloud" {
  command = plan

  variables {
    cloud = "laptop"
  }

  expect_failures = [var.cloud]
}

run "refuses_a_password_in_the_repository" {
  command = plan

  variables {
    repository_url = "https://name:word@git.example/tidemark.git"
  }

  expect_failures = [var.repository_url]
}

run "refuses_a_moving_revision" {
  command = plan

  variables {
    target_revision = "HEAD"
  }

  expect_failures = [var.target_revision]
}

run "refuses_an_untested_dapr" {
  command = plan

  variables {
    dapr_version = "1.14.0"
  }

  expect_failures = [var.dapr_version]
}

run "refuses_a_range_of_rollouts_charts" {
  command = plan

  variables {
    rollouts_chart_version = "2.40.x"
  }

  expect_failures = [var.rollouts_chart_version]
}

run "refuses_a_range_of_charts" {
  command = plan

  variables {
    argocd_chart_version = "~9"
  }

  expect_failures = [var.argocd_chart_version]
}
