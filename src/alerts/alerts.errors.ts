import { ServiceError } from '../common/errors/service-error.js';

export const MAXIMUM_ALERT_RULES = 100;

/** 404: no such rule. */
export class AlertRuleNotFound extends ServiceError {
  constructor() {
    super(404, 'alert_rule.not_found', 'Alert rule not found');
  }
}

/** 409: as many rules as there may be. */
export class TooManyAlertRules extends ServiceError {
  constructor() {
    super(409, 'alert_rule.too_many', `There may be at most ${MAXIMUM_ALERT_RULES} alert rules`);
  }
}

/** 422: the service has no mail server. */
export class EmailNotConfigured extends ServiceError {
  constructor() {
    super(422, 'alert_rule.no_email', 'The service sends no e-mail: set SMTP_URL and SMTP_FROM');
  }
}
