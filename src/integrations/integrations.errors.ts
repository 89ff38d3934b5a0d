import { ServiceError } from '../common/errors/service-error.js';

/** 404: no account is set by this id. */
export class GatewayAccountNotFound extends ServiceError {
  constructor() {
    super(404, 'gateway_account.not_found', 'No account is set by this id');
  }
}
