mock_resource "random_password" {
  defaults = {
    result = "mocked-not-a-secret"
  }
}
